//! No fact is reported or visible before it is durable (I3): with several concurrent askers, and a segment that ends
//! among their facts.

use shuttle::future::{block_on, spawn};

use crate::journal_writer::{Slow, ask, look, paper, start};

const ASKERS: u8 = 3;
const TURNS: u8 = 2;

pub(crate) fn answers_and_reads() {
    let (state, paper) = paper(ASKERS);
    let (recorder, thread) = start(state, Slow { seals_after: Some(1), ..Slow::steady(&paper) });
    let askers: Vec<_> = (0..ASKERS)
        .map(|who| {
            let (recorder, paper) = (recorder.clone(), paper.clone());
            spawn(async move {
                for turn in 0..TURNS {
                    ask(&recorder, &paper, who, turn).await.unwrap();
                    look(&recorder, &paper).await.unwrap();
                }
            })
        })
        .collect();
    drop(recorder);
    for asker in askers {
        block_on(asker).unwrap();
    }
    thread.join().unwrap();
    assert_eq!(paper.seals(), 1, "the end of the segment was told");
}
