//! The user network of QEMU: the machine's own, with ports of 127.0.0.1 that lead to it.

use std::fmt::Write;

/// A port of 127.0.0.1 that leads to one of the machine's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Forward {
    /// `udp` or `tcp`.
    protocol: &'static str,
    /// The port here, and the machine's.
    ports: (u16, u16),
}

/// The network.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Network(Vec<Forward>);

impl Network {
    /// Reads the ports that are passed on: `udp:5007:7,tcp:8080:80`, or none.
    #[must_use]
    pub fn parse(text: &str) -> Option<Network> {
        let forward = |part: &str| {
            let (protocol, ports) = part.split_once(':')?;
            let protocol = ["udp", "tcp"].into_iter().find(|known| *known == protocol)?;
            let (here, there) = ports.split_once(':')?;
            Some(Forward { protocol, ports: (here.parse().ok()?, there.parse().ok()?) })
        };
        text.split(',').filter(|part| !part.is_empty()).map(forward).collect::<Option<_>>().map(Network)
    }

    /// Returns QEMU's words for the network and a card on it. A device on PCI sends its interrupts as messages.
    pub(crate) fn arguments(&self, is_microvm: bool) -> [String; 4] {
        let mut network = "user,id=n0".to_owned();
        for Forward { protocol, ports: (here, there) } in &self.0 {
            // A string takes everything.
            _ = write!(network, ",hostfwd={protocol}:127.0.0.1:{here}-:{there}");
        }
        let card = if is_microvm { "virtio-net-device" } else { "virtio-net-pci,disable-legacy=on,romfile=" };
        ["-netdev".to_owned(), network, "-device".to_owned(), format!("{card},netdev=n0")]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_ports_and_passes_them_on() {
        assert_eq!(Network::parse(""), Some(Network::default()));
        let network = Network::parse("udp:5007:7,tcp:8080:80").unwrap();
        let [_, words, _, card] = network.arguments(false);
        assert_eq!(words, "user,id=n0,hostfwd=udp:127.0.0.1:5007-:7,hostfwd=tcp:127.0.0.1:8080-:80");
        assert_eq!(card, "virtio-net-pci,disable-legacy=on,romfile=,netdev=n0");
        assert_eq!(network.arguments(true)[3], "virtio-net-device,netdev=n0");
    }

    #[test]
    fn rejects_all_else() {
        for text in ["udp", "udp:5007", "udp:5007:70000", "sctp:1:2", "udp:5007:7;tcp:1:2", "udp:5007:7:8", "udp::7"] {
            assert_eq!(Network::parse(text), None, "{text}");
        }
    }
}
