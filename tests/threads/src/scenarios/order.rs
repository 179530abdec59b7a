//! Commands of one asker are committed in the order in which they were issued, also if it gave up the previous one
//! (which is then missing, or comes before the next), and every asker gets its own answer.

use std::future::poll_fn;
use std::pin::pin;
use std::task::Poll;

use shuttle::future::{block_on, spawn};

use crate::journal_writer::{Slow, ask, paper, start, text};

const ASKERS: u8 = 3;

/// Starts it without waiting.
async fn begin(work: impl Future<Output = ()>) {
    let mut work = pin!(work);
    poll_fn(|cx| Poll::Ready(work.as_mut().poll(cx).is_ready())).await;
}

pub(crate) fn kept() {
    let (state, paper) = paper(ASKERS);
    let (recorder, thread) = start(state, Slow::steady(&paper));
    let askers: Vec<_> = (0..ASKERS)
        .map(|who| {
            let (recorder, paper) = (recorder.clone(), paper.clone());
            spawn(async move {
                let turn = async |turn| ask(&recorder, &paper, who, turn).await.unwrap();
                begin(turn(0)).await;
                turn(1).await;
                turn(2).await;
            })
        })
        .collect();
    drop(recorder);
    for asker in askers {
        block_on(asker).unwrap();
    }
    thread.join().unwrap();
    for who in 0..ASKERS {
        let all = [0, 1, 2].map(|turn| text(who, turn));
        let texts = paper.texts(who);
        assert!(texts == all || texts == all[1..], "in another order: {texts:?}");
    }
}
