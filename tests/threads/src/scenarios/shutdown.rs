//! The end of the journal: every waiting caller gets an answer or is told that the journal has stopped, none waits
//! forever, the thread ends, and what was acknowledged is durable.

use shuttle::future::{JoinHandle, block_on, spawn};
use shuttle::rand::{Rng, thread_rng};

use crate::engine::recorder::{RecordError, Recorder};
use crate::journal_writer::{Paper, Slow, ask, look, paper, start, text};
use crate::sync::point;

const ASKERS: u8 = 3;
const TURNS: u8 = 2;

/// Records facts until the journal stops; returns how many were answered.
fn asker(recorder: &Recorder, paper: &Paper, who: u8) -> JoinHandle<u8> {
    let (recorder, paper) = (recorder.clone(), paper.clone());
    spawn(async move {
        for turn in 0..TURNS {
            let done = async {
                ask(&recorder, &paper, who, turn).await?;
                recorder.rest().await?;
                look(&recorder, &paper).await
            };
            match done.await {
                Ok(()) => {}
                Err(RecordError::Stopped) => return turn,
                Err(error) => panic!("{error}"),
            }
        }
        TURNS
    })
}

/// Asserts that the journal has stopped and stays so.
fn must_have_stopped(recorder: &Recorder, paper: &Paper) {
    let error = block_on(ask(recorder, paper, 0, u8::MAX)).unwrap_err();
    assert!(matches!(error, RecordError::Stopped), "{error}");
    assert!(block_on(look(recorder, paper)).is_err());
}

/// All recorders are dropped, some with a pending command for which nobody waits: the thread finishes its work and
/// ends.
pub(crate) fn dropped() {
    let (state, paper) = paper(ASKERS);
    let (recorder, thread) = start(state, Slow::steady(&paper));
    let askers: Vec<_> = (0..ASKERS).map(|who| asker(&recorder, &paper, who)).collect();
    drop(recorder);
    let gone = thread_rng().gen_range(0..ASKERS);
    for (who, asker) in (0..ASKERS).zip(askers) {
        if who == gone {
            asker.abort();
            continue;
        }
        assert_eq!(block_on(asker).unwrap(), TURNS, "stopped, with its recorder still there");
        assert_eq!(paper.texts(who), [text(who, 0), text(who, 1)]);
    }
    thread.join().unwrap();
}

/// The journal is stopped with a reason that depends on the durable state.
pub(crate) fn stopped() {
    let (state, paper) = paper(ASKERS);
    let (recorder, thread) = start(state, Slow::steady(&paper));
    let askers: Vec<_> = (0..ASKERS).map(|who| asker(&recorder, &paper, who)).collect();
    let stop = {
        let (recorder, paper) = (recorder.clone(), paper.clone());
        spawn(async move {
            let judge = paper.clone();
            let why = move |state: &_, head| {
                judge.must_be(state, head);
                "enough".to_owned()
            };
            recorder.stop_with(why).await;
            // Two callers may do so concurrently.
            recorder.stop_with(|_, _| "twice".to_owned()).await;
            assert!(ask(&recorder, &paper, 0, u8::MAX).await.is_err(), "answered after it was stopped");
        })
    };
    for asker in askers {
        block_on(asker).unwrap();
    }
    block_on(stop).unwrap();
    assert_eq!(thread.join().unwrap_err().to_string(), "enough");
    must_have_stopped(&recorder, &paper);
}

/// A write fails: what was acknowledged before is durable, nothing after it is, and nothing more is written.
pub(crate) fn failed() {
    let (state, paper) = paper(ASKERS);
    let fails_after = Some(thread_rng().gen_range(0..3));
    let (recorder, thread) = start(state, Slow { fails_after, ..Slow::steady(&paper) });
    let askers: Vec<_> = (0..ASKERS).map(|who| asker(&recorder, &paper, who)).collect();
    let mut answered = 0;
    for asker in askers {
        answered += block_on(asker).unwrap();
    }
    point();
    if answered == ASKERS * TURNS {
        // Fewer commits than it takes to fail.
        drop(recorder);
        return thread.join().unwrap();
    }
    assert_eq!(thread.join().unwrap_err().to_string(), "the disk is full");
    must_have_stopped(&recorder, &paper);
}
