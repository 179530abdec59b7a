//! SIGTERM and Ctrl-C: the first ends in order, the second at once. SIGHUP is the command's choice.

use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;

use super::{Exit, Failure};

/// What SIGHUP does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[cfg_attr(not(feature = "demo"), expect(dead_code, reason = "only a service is built"))]
pub(super) enum HangUp {
    /// It is logged: a service outlives the terminal that it was started from.
    Ignored,
    /// It ends in order, as SIGTERM does: what somebody looks at goes with the terminal.
    Ends,
}

/// A token that is cancelled by the first SIGTERM or SIGINT. A second one ends the process with code 130.
pub(super) fn stop_token(on_hang_up: HangUp) -> Result<CancellationToken, Failure> {
    let listen = |kind| signal(kind).map_err(|error| Failure::because(Exit::Io, "cannot listen for signals", error));
    let (mut terminate, mut interrupt) = (listen(SignalKind::terminate())?, listen(SignalKind::interrupt())?);
    let mut hang_up = listen(SignalKind::hangup())?;
    let stop = CancellationToken::new();
    let token = stop.clone();
    tokio::spawn(async move {
        loop {
            tokio::select! {
                _ = terminate.recv() => {}
                _ = interrupt.recv() => {}
                _ = hang_up.recv() => {
                    if on_hang_up == HangUp::Ignored {
                        tracing::info!("SIGHUP is ignored: restart lakemirror to read its configuration again");
                        continue;
                    }
                }
            }
            if token.is_cancelled() {
                std::process::exit(i32::from(Exit::Interrupted.code()));
            }
            token.cancel();
        }
    });
    Ok(stop)
}
