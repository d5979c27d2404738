//! A wire in this process, with the stack at one end and smoltcp's own sockets at the other.

use alloc::collections::VecDeque;
use alloc::vec;
use alloc::vec::Vec;

use bareflow_abi::Out;
use bareflow_abi::state::State;
use bareflow_tcp::Ready;
use smoltcp::iface::{Interface, SocketHandle, SocketSet};
use smoltcp::phy::{Device, DeviceCapabilities, Medium, RxToken, TxToken};
use smoltcp::socket::tcp::{Socket, SocketBuffer};
use smoltcp::time::{Duration, Instant};
use smoltcp::wire::{EthernetAddress, HardwareAddress, IpCidr, Ipv4Address};

use crate::Kept;
use crate::port::{FRAME_BYTES, Frames};
use crate::stack::{Config, Stack};

pub const OWN: [u8; 4] = [10, 0, 2, 15];
pub const PEER: [u8; 4] = [10, 0, 2, 2];
pub const OWN_MAC: [u8; 6] = [2, 0, 0, 0, 0, 1];
pub const PEER_MAC: [u8; 6] = [2, 0, 0, 0, 0, 2];

/// The module that most tests call as.
pub const ME: u32 = 7;

pub const CONFIG: Config = Config {
    address: Ipv4Address::new(10, 0, 2, 15),
    prefix: 24,
    gateway: Some(Ipv4Address::new(10, 0, 2, 2)),
    connections: 16,
    receive_bytes: 8192,
    send_bytes: 8192,
    secret: [1, 2, 3],
};

/// One end: frames that came, and frames that go.
#[derive(Default)]
pub struct End {
    pub came: VecDeque<Vec<u8>>,
    pub gone: Vec<Vec<u8>>,
}

impl Frames for End {
    fn receive(&mut self, frame: &mut [u8; FRAME_BYTES]) -> Option<usize> {
        loop {
            let came = self.came.pop_front()?;
            if let Some(room) = frame.get_mut(..came.len()) {
                room.copy_from_slice(&came);
                return Some(came.len());
            }
        }
    }

    fn has_room(&self) -> bool {
        self.gone.len() < 64
    }

    fn send(&mut self, frame: &[u8]) {
        self.gone.push(frame.to_vec());
    }
}

impl Device for End {
    type RxToken<'token> = Frame;
    type TxToken<'token> = Room<'token>;

    fn receive(&mut self, _: Instant) -> Option<(Frame, Room<'_>)> {
        let came = self.came.pop_front()?;
        Some((Frame(came), Room(&mut self.gone)))
    }

    fn transmit(&mut self, _: Instant) -> Option<Room<'_>> {
        (self.gone.len() < 64).then_some(Room(&mut self.gone))
    }

    fn capabilities(&self) -> DeviceCapabilities {
        let mut capabilities = DeviceCapabilities::default();
        capabilities.medium = Medium::Ethernet;
        capabilities.max_transmission_unit = FRAME_BYTES;
        capabilities
    }
}

/// A frame that came, for smoltcp.
pub struct Frame(Vec<u8>);

impl RxToken for Frame {
    fn consume<R, F: FnOnce(&[u8]) -> R>(self, work: F) -> R {
        work(&self.0)
    }
}

/// Room for a frame that goes.
pub struct Room<'end>(&'end mut Vec<Vec<u8>>);

impl TxToken for Room<'_> {
    fn consume<R, F: FnOnce(&mut [u8]) -> R>(self, length: usize, work: F) -> R {
        let mut frame = vec![0; length];
        let done = work(&mut frame);
        self.0.push(frame);
        done
    }
}

/// The two sides with what is between them.
pub struct Wire {
    pub stack: Stack,
    pub own: End,
    pub peer: Interface,
    pub sockets: SocketSet<'static>,
    pub other: End,
    pub now: Instant,
    /// Whether callers were told that there is something, since that was asked last.
    pub is_told: bool,
}

impl Wire {
    pub fn new(config: Config) -> Wire {
        Wire::with(config, &Kept::INITIAL)
    }

    /// Makes one whose stack takes over from another.
    pub fn with(config: Config, kept: &Kept) -> Wire {
        let mut stack = Stack::new(config, kept).unwrap();
        assert!(stack.set_card(OWN_MAC));
        let mut other = End::default();
        let mut config = smoltcp::iface::Config::new(HardwareAddress::Ethernet(EthernetAddress(PEER_MAC)));
        config.random_seed = 5;
        let mut peer = Interface::new(config, &mut other, Instant::ZERO);
        peer.update_ip_addrs(|addresses| addresses.push(IpCidr::new(Ipv4Address::from(PEER).into(), 24)).unwrap());
        let sockets = SocketSet::new(Vec::new());
        Wire { stack, own: End::default(), peer, sockets, other, now: Instant::ZERO, is_told: false }
    }

    /// Adds a socket at the other side, with buffers of this size.
    pub fn socket(&mut self, bytes: usize) -> SocketHandle {
        let buffer = || SocketBuffer::new(vec![0; bytes]);
        self.sockets.add(Socket::new(buffer(), buffer()))
    }

    /// Connects the other side to a port of the stack's.
    pub fn connect(&mut self, port: u16, from: u16) -> SocketHandle {
        let handle = self.socket(16_384);
        let to = (smoltcp::wire::IpAddress::from(Ipv4Address::from(OWN)), port);
        self.sockets.get_mut::<Socket<'_>>(handle).connect(self.peer.context(), to, from).unwrap();
        handle
    }

    pub fn at(&mut self, handle: SocketHandle) -> &mut Socket<'static> {
        self.sockets.get_mut(handle)
    }

    /// Lets a millisecond pass. What the two send to each other goes through `carry`, which may do anything with it; the
    /// second argument says whether it is the stack that is to get the frame.
    pub fn step(&mut self, mut carry: impl FnMut(Vec<u8>, bool, &mut VecDeque<Vec<u8>>)) {
        self.now += Duration::from_millis(1);
        self.stack.poll(self.now, &mut self.own);
        self.is_told |= self.stack.take_news();
        for frame in core::mem::take(&mut self.own.gone) {
            carry(frame, false, &mut self.other.came);
        }
        self.peer.poll(self.now, &mut self.other, &mut self.sockets);
        for frame in core::mem::take(&mut self.other.gone) {
            carry(frame, true, &mut self.own.came);
        }
    }

    /// Lets so many milliseconds pass on a wire that loses nothing.
    pub fn run(&mut self, milliseconds: usize) {
        for _ in 0..milliseconds {
            self.step(|frame, _, end| end.push_back(frame));
        }
    }

    /// Returns what a caller can go on with.
    pub fn ready(&mut self, caller: u32) -> Vec<Ready> {
        let mut room = [Ready::default(); 64];
        let mut out = Out::new(&mut room);
        self.stack.ready(caller, &mut out);
        out.written().to_vec()
    }

    /// Returns what a connection received, and whether that was all.
    pub fn receive(&mut self, number: u32) -> Result<(Vec<u8>, bool), bareflow_tcp::TcpError> {
        let mut room = [0; 4096];
        let mut out = Out::new(&mut room);
        let is_all = self.stack.receive(ME, number, &mut out)?;
        Ok((out.written().to_vec(), is_all))
    }
}

/// Returns the byte of a pattern at a place.
pub fn pattern(place: usize) -> u8 {
    (place ^ place >> 8 ^ place >> 16) as u8
}
