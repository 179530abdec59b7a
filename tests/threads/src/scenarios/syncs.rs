//! The log's file syncs on its own thread while the hot store is written. In every interleaving, a successful sync has
//! made everything durable that was written before it, and an error is reported before any further success.

use shuttle::rand::{Rng, thread_rng};
use shuttle::thread;

use crate::disk::{File, open};

const STEPS: u8 = 8;

pub(crate) fn covered() {
    let disk = File::default();
    let mut file = open(disk.clone());
    // An unrelated thread: there is always more than one.
    thread::spawn(thread::yield_now);
    for _ in 0..STEPS {
        let done = match thread_rng().gen_range(0..5) {
            0 | 1 => file.write_at(0, b"frame"),
            2 => file.truncate(0),
            3 => {
                file.begin_sync();
                Ok(())
            }
            _ => file.sync().map(|()| assert!(disk.is_durable(), "synced, and not durable")),
        };
        if done.is_err() {
            // The journal stops with the first error and does not use the file any more.
            return;
        }
    }
}
