//! The wire, with a thread for each direction.

use std::collections::VecDeque;
use std::fmt::{self, Display, Formatter};
use std::io::{self, ErrorKind};
use std::ops::Sub;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::thread;
use std::time::Duration;

use tempfile::TempDir;

use crate::faults::{Chances, Fault, Faults};
use crate::segments::{Sent, is_for_stranger};
use crate::stream::{Receiver, send};
use crate::user_network::{Forward, UserNetwork};

/// The time after which late frames arrive if no others come.
const QUIET: Duration = Duration::from_millis(5);

/// The newest frames to the machine that are kept.
const CAPTURED: usize = 64;

/// The numbers of frames, by what became of them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// All that were sent.
    pub frames: u64,
    /// Those that never came.
    pub lost: u64,
    /// Those that came twice.
    pub doubled: u64,
    /// Those that came late.
    pub late: u64,
    /// Those that came cut.
    pub cut: u64,
    /// Segments that the machine sent again.
    pub again: u64,
    /// The machine's answers to strangers.
    pub answers: u64,
}

impl Sub for Counts {
    type Output = Counts;

    fn sub(self, other: Counts) -> Counts {
        Counts {
            frames: self.frames - other.frames,
            lost: self.lost - other.lost,
            doubled: self.doubled - other.doubled,
            late: self.late - other.late,
            cut: self.cut - other.cut,
            again: self.again - other.again,
            answers: self.answers - other.answers,
        }
    }
}

impl Display for Counts {
    fn fmt(&self, formatter: &mut Formatter<'_>) -> fmt::Result {
        let Counts { frames, lost, doubled, late, cut, again, .. } = self;
        write!(
            formatter,
            "of {frames} frames {lost} lost, {doubled} doubled, {late} late, {cut} cut; \
             {again} segments of the machine sent again"
        )
    }
}

/// The wire. It ends when this is dropped.
#[derive(Debug)]
pub struct Wire {
    shared: Arc<Shared>,
    folder: TempDir,
    seed: u64,
    _network: UserNetwork,
}

#[derive(Debug, Default)]
struct Shared {
    state: Mutex<State>,
    /// The machine's end, once it is there.
    near: OnceLock<Mutex<UnixStream>>,
}

#[derive(Debug, Default)]
struct State {
    chances: Chances,
    counts: Counts,
    captured: VecDeque<Vec<u8>>,
}

impl Wire {
    /// Starts the user network, and waits for a machine with `--net=stream:` and [`Wire::socket`].
    ///
    /// # Errors
    /// When QEMU can't be started.
    pub fn start(forwards: &[Forward], seed: u64) -> io::Result<Wire> {
        let folder = tempfile::tempdir()?;
        let listener = UnixListener::bind(folder.path().join("s"))?;
        let (network, far) = UserNetwork::start(forwards)?;
        let shared = Arc::new(Shared::default());
        let to_machine = Arc::clone(&shared);
        thread::spawn(move || to_machine.run(&listener, &far, seed));
        Ok(Wire { shared, folder, seed, _network: network })
    }

    /// Returns the path of the machine's socket.
    #[must_use]
    pub fn socket(&self) -> PathBuf {
        self.folder.path().join("s")
    }

    /// Returns the seed of all faults.
    #[must_use]
    pub fn seed(&self) -> u64 {
        self.seed
    }

    /// Sets the chances of faults, and returns the counts so far.
    pub fn set(&self, chances: Chances) -> Counts {
        let mut state = self.shared.state();
        state.chances = chances;
        state.counts
    }

    /// Returns the counts so far.
    #[must_use]
    pub fn counts(&self) -> Counts {
        self.shared.state().counts
    }

    /// Returns the newest frames to the machine.
    #[must_use]
    pub fn captured(&self) -> Vec<Vec<u8>> {
        self.shared.state().captured.iter().cloned().collect()
    }

    /// Sends the machine a frame from nowhere.
    ///
    /// # Errors
    /// When there is no machine.
    pub fn inject(&self, frame: &[u8]) -> io::Result<()> {
        send(&lock(self.shared.near.get().ok_or(ErrorKind::NotConnected)?), frame)
    }
}

impl Shared {
    fn state(&self) -> MutexGuard<'_, State> {
        lock(&self.state)
    }

    /// Carries frames both ways until one side is gone.
    fn run(&self, listener: &UnixListener, far: &UnixStream, seed: u64) -> io::Result<()> {
        let (near, _) = listener.accept()?;
        let from_machine = Receiver::new(near.try_clone()?);
        let near = self.near.get_or_init(|| Mutex::new(near));
        let from_network = Receiver::new(far.try_clone()?);
        thread::scope(|scope| {
            let mut sent = Sent::default();
            scope.spawn(move || {
                self.carry(
                    from_machine,
                    Faults::new(seed),
                    |state, frame| {
                        state.counts.again += u64::from(sent.is_again(frame));
                        let is_lost = is_for_stranger(frame);
                        state.counts.answers += u64::from(is_lost);
                        !is_lost
                    },
                    |frame| send(far, frame),
                )
            });
            self.carry(
                from_network,
                Faults::new(!seed),
                |state, frame| {
                    state.captured.push_back(frame.to_vec());
                    if state.captured.len() > CAPTURED {
                        state.captured.pop_front();
                    }
                    true
                },
                |frame| send(&lock(near), frame),
            )
        })
    }

    /// Carries frames one way until a side is gone: those that `look` is for.
    fn carry(
        &self,
        mut from: Receiver,
        mut faults: Faults,
        mut look: impl FnMut(&mut State, &[u8]) -> bool,
        to: impl Fn(&[u8]) -> io::Result<()>,
    ) -> io::Result<()> {
        loop {
            let Some(frame) = from.next(QUIET)? else {
                faults.flush().try_for_each(|frame| to(&frame))?;
                continue;
            };
            let arrive = {
                let mut state = self.state();
                if !look(&mut state, &frame) {
                    continue;
                }
                let (arrive, fault) = faults.pass(frame, state.chances);
                let counts = &mut state.counts;
                counts.frames += 1;
                match fault {
                    None => (),
                    Some(Fault::Lost) => counts.lost += 1,
                    Some(Fault::Doubled) => counts.doubled += 1,
                    Some(Fault::Late) => counts.late += 1,
                    Some(Fault::Cut) => counts.cut += 1,
                }
                arrive
            };
            arrive.iter().try_for_each(|frame| to(frame))?;
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
