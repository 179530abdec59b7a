//! The control of `tests/crash/crash.py`: plain sled 0.34 as a journal, flushed after each batch, as its documentation
//! describes. `control append DIR` prints after each flush how many records are durable. `control check DIR N` exits
//! with 0 if the first N records exist, 1 if some are lost, 2 if the database does not open.

use std::io::Write as _;

const BATCH: u64 = 64;

fn value(number: u64) -> Vec<u8> {
    format!("{number:016}").repeat(4 + (number % 12) as usize).into_bytes()
}

fn open(dir: &str) -> sled::Result<sled::Db> {
    sled::Config::new().path(dir).open()
}

fn append(dir: &str) -> Result<(), Box<dyn std::error::Error>> {
    let db = open(dir)?;
    let mut next = match db.last()? {
        Some((key, _)) => u64::from_be_bytes(key.as_ref().try_into()?) + 1,
        None => 1,
    };
    let mut out = std::io::stdout().lock();
    loop {
        let mut batch = sled::Batch::default();
        for number in next..next + BATCH {
            batch.insert(&number.to_be_bytes(), value(number));
        }
        db.apply_batch(batch)?;
        db.flush()?;
        next += BATCH;
        writeln!(out, "{}", next - 1)?;
        out.flush()?;
    }
}

fn check(dir: &str, acknowledged: u64) -> i32 {
    let Ok(db) = open(dir) else { return 2 };
    for number in 1..=acknowledged {
        match db.get(number.to_be_bytes()) {
            Ok(Some(found)) if found.as_ref() == value(number) => {}
            Ok(_) => {
                eprintln!("record {number} of {acknowledged} that were acknowledged is not there");
                return 1;
            }
            Err(_) => return 2,
        }
    }
    0
}

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let code = match arguments.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        ["append", dir] => append(dir).map_or(1, |()| 0),
        ["check", dir, number] => check(dir, number.parse().unwrap_or(0)),
        _ => 64,
    };
    std::process::exit(code);
}
