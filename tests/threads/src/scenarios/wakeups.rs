//! A task that waits for news is woken by everything that comes after its read: no wake-up is lost.

use lakemirror_journal::state::State;
use std::sync::Arc;

use shuttle::future::{block_on, spawn};
use shuttle::rand::{Rng, thread_rng};
use shuttle::sync::atomic::{AtomicU64, Ordering};
use shuttle::thread;

use crate::engine::ticker::Ticker;
use crate::journal_writer::{Slow, ask, mirror, paper, start, text};

const WATCHERS: u8 = 2;
const TICKS: u64 = 3;

/// The ticker itself: a number grows, each time with a tick, and watchers wait for its end in every possible way.
pub(crate) fn ticks() {
    let (ticker, number) = (Ticker::default(), Arc::new(AtomicU64::new(0)));
    let watchers: Vec<_> = (0..=WATCHERS)
        .map(|who| {
            let (mut ticks, number) = (ticker.ticks(), Arc::clone(&number));
            spawn(async move {
                loop {
                    // Before the read, as the engine does it, or not at all.
                    if who > 0 && thread_rng().gen_bool(0.5) {
                        ticks.mark_unchanged();
                    }
                    if number.load(Ordering::SeqCst) == TICKS {
                        return;
                    }
                    ticks.changed().await;
                }
            })
        })
        .collect();
    let grower = thread::spawn(move || {
        for _ in 0..TICKS {
            number.fetch_add(1, Ordering::SeqCst);
            ticker.tick();
        }
    });
    for watcher in watchers {
        block_on(watcher).unwrap();
    }
    grower.join().unwrap();
}

/// The recorder's ticks: watchers of a mirror read the state and wait until they have seen the last fact.
pub(crate) fn facts() {
    let (state, paper) = paper(1);
    let (recorder, thread) = start(state, Slow::steady(&paper));
    let watchers: Vec<_> = (0..WATCHERS)
        .map(|_| {
            let recorder = recorder.clone();
            spawn(async move {
                let mut changes = recorder.changes(mirror(0));
                loop {
                    changes.mark_unchanged();
                    let last = |state: &State| Some(state.mirror(&mirror(0))?.conditions().next()?.1.text.clone());
                    if recorder.read(last).await.unwrap() == Some(text(0, 1)) {
                        return;
                    }
                    changes.changed().await;
                }
            })
        })
        .collect();
    let asker = spawn(async move {
        for turn in 0..=1 {
            ask(&recorder, &paper, 0, turn).await.unwrap();
        }
    });
    for task in watchers.into_iter().chain([asker]) {
        block_on(task).unwrap();
    }
    thread.join().unwrap();
}
