//! A run that boots a kernel and waits for its end.

use std::io::Read;
use std::os::unix::net::UnixStream;
use std::process::Child;
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Result, anyhow};
use bareflow_protocol::{Decoder, Message};

use super::Machine;
use super::outcome::{ExitReason, RunOutcome, lossy};
use super::streams::{Overflow, chunks, complaints, said};

/// The interval between checks of the time limit.
const POLL: Duration = Duration::from_millis(50);

/// The number of messages that may wait to be taken; if there are more, the kernel waits.
const WAITING: usize = 1024;

impl Machine {
    /// Boots and waits for the end. `show` is given the console's output as it arrives.
    ///
    /// # Errors
    /// When QEMU can't be started.
    pub fn run(&self, mut show: impl FnMut(&[u8])) -> Result<RunOutcome> {
        let (mut qemu, channel) = self.spawn()?;
        let (sender, receiver) = sync_channel(WAITING);
        let reader = thread::spawn(move || receive(channel, &sender));
        let complaints = complaints(qemu.child.stderr.take());
        let mut messages = Vec::new();
        let (console, in_time) = self.follow(&mut qemu.child, &mut show, &receiver, &mut messages);
        if !in_time {
            // QEMU may have just ended by itself.
            let _ = qemu.child.kill();
        }
        let status = qemu.child.wait()?;
        messages.extend(receiver);
        reader.join().map_err(|_| anyhow!("the reader of COM2 panicked"))?;
        let is_report = |message: &Message| matches!(message, Message::Report(_));
        let (mut reports, messages): (Vec<_>, Vec<_>) = messages.into_iter().partition(is_report);
        let report = reports.pop().and_then(|message| match message {
            Message::Report(report) => Some(report),
            _ => None,
        });
        let exit_reason = ExitReason::of(status, in_time);
        let (console, complaints, accel) = (lossy(&console), said(complaints), self.accel.clone());
        Ok(RunOutcome { exit_reason, console, report, messages, complaints, accel })
    }

    /// Passes the console on until it ends, and collects messages at the same time. Returns all of the console, and
    /// whether it ended in time.
    fn follow(
        &self,
        child: &mut Child,
        show: &mut impl FnMut(&[u8]),
        receiver: &Receiver<Message>,
        messages: &mut Vec<Message>,
    ) -> (Vec<u8>, bool) {
        let (start, mut last_sign) = (Instant::now(), Instant::now());
        let chunks = chunks(child.stdout.take(), Overflow::Wait);
        let mut console = Vec::new();
        loop {
            match chunks.recv_timeout(POLL) {
                Ok(chunk) => {
                    show(&chunk);
                    console.extend(chunk);
                    last_sign = Instant::now();
                }
                Err(RecvTimeoutError::Disconnected) => return (console, true),
                Err(RecvTimeoutError::Timeout) => {}
            }
            let before = messages.len();
            messages.extend(receiver.try_iter());
            if messages.len() > before {
                last_sign = Instant::now();
            }
            if start.elapsed() > self.timeout || self.patience.is_some_and(|patience| last_sign.elapsed() > patience) {
                return (console, false);
            }
        }
    }
}

/// Passes messages on from the channel until QEMU closes it.
fn receive(mut stream: UnixStream, sender: &SyncSender<Message>) {
    let mut decoder = Decoder::new();
    let mut buffer = [0; 4096];
    // A broken connection counts as the end.
    while let Ok(count) = stream.read(&mut buffer) {
        if count == 0 {
            return;
        }
        decoder.push(&buffer[..count]);
        let payloads = std::iter::from_fn(|| decoder.next_payload()).flatten();
        let mut messages = payloads.filter_map(|payload| Message::from_payload(&payload).ok());
        if messages.any(|message| sender.send(message).is_err()) {
            return;
        }
    }
}
