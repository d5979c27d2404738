//! The settings of a stack.

use smoltcp::wire::Ipv4Address;

/// The settings of a stack.
#[derive(Clone, Copy, Debug)]
pub struct Config {
    /// The address, and the length of its network's prefix.
    pub address: Ipv4Address,
    pub prefix: u8,
    /// The way to other networks.
    pub gateway: Option<Ipv4Address>,
    /// The number of connections, and the sizes of the two buffers of each.
    pub connections: usize,
    pub receive_bytes: usize,
    pub send_bytes: usize,
    /// Numbers that no one can predict.
    pub secret: [u64; 3],
}
