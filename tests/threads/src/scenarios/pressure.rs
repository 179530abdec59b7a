//! More askers than the queue has room for, with reads and pauses among them, and some that give up: all get through.

use shuttle::future::{block_on, spawn};

use crate::journal_writer::{Slow, ask, look, paper, start, text};

const ASKERS: u8 = 6;
const TURNS: u8 = 2;

pub(crate) fn crowd() {
    let (state, paper) = paper(ASKERS);
    let (recorder, thread) = start(state, Slow { seals_after: Some(1), ..Slow::steady(&paper) });
    let askers: Vec<_> = (0..ASKERS)
        .map(|who| {
            let (recorder, paper) = (recorder.clone(), paper.clone());
            spawn(async move {
                for turn in 0..TURNS {
                    match who % 3 {
                        0 => ask(&recorder, &paper, who, turn).await.unwrap(),
                        1 => look(&recorder, &paper).await.unwrap(),
                        _ => recorder.rest().await.unwrap(),
                    }
                }
            })
        })
        .collect();
    // Waits for room, and gives up during the wait or after it.
    let (hasty, its_paper) = (recorder.clone(), paper.clone());
    let hasty = spawn(async move { drop(ask(&hasty, &its_paper, 1, 0).await) });
    drop(recorder);
    hasty.abort();
    for asker in askers {
        block_on(asker).unwrap();
    }
    thread.join().unwrap();
    for who in (0..ASKERS).step_by(3) {
        assert_eq!(paper.texts(who), [text(who, 0), text(who, 1)]);
    }
}
