//! The network of the machine: QEMU's user network, with ports of 127.0.0.1 that lead to it, a wire between two cards, or a
//! socket for frames.

use std::fmt::Write;
use std::path::{Path, PathBuf};

/// A port of 127.0.0.1 that leads to one of the machine's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Forward {
    /// `udp` or `tcp`.
    protocol: &'static str,
    /// The port here, and the machine's.
    ports: (u16, u16),
}

/// The network.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Network {
    /// The cards' model.
    model: Model,
    /// The network that they are attached to.
    attached_to: Attachment,
}

/// A model of network cards.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Model {
    /// Virtio's.
    #[default]
    Virtio,
    /// Intel's 82574L, as QEMU names it.
    E1000e,
}

/// The words before and for the model of `--net`.
const MODEL: &str = "model=";
const MODELS: [(&str, Model); 2] = [("virtio", Model::Virtio), ("e1000e", Model::E1000e)];

/// A network that cards are attached to.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Attachment {
    /// QEMU's user network, with a card on it.
    User(Forwards),
    /// A wire inside the machine, with a card at each end.
    Wire,
    /// A socket of Unix, to which the card's frames go, and from which they come: each after its length, in four bytes with the
    /// highest first.
    Stream(PathBuf),
}

/// The ports of 127.0.0.1 that lead to the machine.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Forwards(Vec<Forward>);

/// The user network, to which no port leads.
impl Default for Network {
    fn default() -> Network {
        Network { model: Model::default(), attached_to: Attachment::User(Forwards::default()) }
    }
}

impl Network {
    /// Returns whether the cards are virtio's.
    #[must_use]
    pub fn is_virtio(&self) -> bool {
        self.model == Model::Virtio
    }

    /// Returns the socket at which someone takes the cards' frames, if it is that.
    #[must_use]
    pub fn stream(&self) -> Option<&Path> {
        match &self.attached_to {
            Attachment::Stream(path) => Some(path),
            _ => None,
        }
    }

    /// Reads the ports that are passed on: `udp:5007:7,tcp:8080:80`, or none; or `wire`; or `stream:PATH`. The model may come
    /// before: `model=e1000e,tcp:8080:80`.
    #[must_use]
    pub fn parse(text: &str) -> Option<Network> {
        let Some(rest) = text.strip_prefix(MODEL) else {
            return Some(Network { model: Model::default(), attached_to: Attachment::parse(text)? });
        };
        let (name, rest) = rest.split_once(',').unwrap_or((rest, ""));
        let (_, model) = MODELS.into_iter().find(|(known, _)| *known == name)?;
        Some(Network { model, attached_to: Attachment::parse(rest)? })
    }

    /// Returns whether the network is a wire.
    #[must_use]
    pub fn is_wire(&self) -> bool {
        self.attached_to == Attachment::Wire
    }

    /// Passes a port of 127.0.0.1 on to one of the machine's as well. Returns false if no one here knows the way to
    /// it: on a wire, or behind a socket.
    pub fn forward(&mut self, here: u16, there: u16) -> bool {
        let Attachment::User(Forwards(forwards)) = &mut self.attached_to else { return false };
        forwards.push(Forward { protocol: "tcp", ports: (here, there) });
        true
    }

    /// Returns QEMU's words for the network and the cards on it; `is_behind` an IOMMU. `None` if the machine has no place for
    /// the cards: a microvm has no PCI. A device on PCI sends its interrupts as messages.
    pub(crate) fn arguments(&self, is_microvm: bool, is_behind: bool) -> Option<Vec<String>> {
        let card = match (self.model, is_microvm, is_behind) {
            (Model::Virtio, true, _) => "virtio-net-device",
            (Model::Virtio, false, false) => "virtio-net-pci,disable-legacy=on,romfile=",
            // One that knows nothing of it goes past the IOMMU.
            (Model::Virtio, false, true) => "virtio-net-pci,disable-legacy=on,romfile=,iommu_platform=on",
            (Model::E1000e, true, _) => return None,
            (Model::E1000e, false, _) => "e1000e,romfile=",
        };
        let words = self.attached_to.networks().into_iter().enumerate().flat_map(|(number, network)| {
            ["-netdev".to_owned(), network, "-device".to_owned(), format!("{card},netdev=n{number}")]
        });
        Some(words.collect())
    }
}

impl Attachment {
    /// Reads the ports that are passed on, each from 1 on and named once here, `wire`, or `stream:PATH`.
    fn parse(text: &str) -> Option<Attachment> {
        if text == "wire" {
            return Some(Attachment::Wire);
        }
        if let Some(path) = text.strip_prefix("stream:") {
            return (!path.is_empty()).then(|| Attachment::Stream(path.into()));
        }
        let forward = |part: &str| {
            let (protocol, ports) = part.split_once(':')?;
            let protocol = ["udp", "tcp"].into_iter().find(|known| *known == protocol)?;
            let (here, there) = ports.split_once(':')?;
            let port = |text: &str| text.parse().ok().filter(|port| *port != 0);
            Some(Forward { protocol, ports: (port(here)?, port(there)?) })
        };
        let parts = text.split(',').filter(|part| !part.is_empty());
        let forwards = parts.map(forward).collect::<Option<Vec<_>>>()?;
        let is_again = |(number, forward): (usize, &Forward)| {
            let same = |before: &Forward| (before.protocol, before.ports.0) == (forward.protocol, forward.ports.0);
            forwards.iter().take(number).any(same)
        };
        let has_twice = forwards.iter().enumerate().any(is_again);
        (!has_twice).then_some(Attachment::User(Forwards(forwards)))
    }

    /// Returns QEMU's words for the networks, of which each has a card.
    fn networks(&self) -> Vec<String> {
        match self {
            Attachment::User(forwards) => vec![forwards.network()],
            Attachment::Wire => [0, 1].map(|end| format!("hubport,id=n{end},hubid=0")).into(),
            Attachment::Stream(path) => {
                vec![format!("stream,id=n0,server=off,addr.type=unix,addr.path={}", option_value(path))]
            }
        }
    }
}

/// Formats a path for one of QEMU's option lists, where commas are doubled.
pub(crate) fn option_value(path: &Path) -> String {
    path.to_string_lossy().replace(',', ",,")
}

impl Forwards {
    fn network(&self) -> String {
        let mut network = "user,id=n0".to_owned();
        for Forward { protocol, ports: (here, there) } in &self.0 {
            // A string takes everything.
            _ = write!(network, ",hostfwd={protocol}:127.0.0.1:{here}-:{there}");
        }
        network
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_ports_and_passes_them_on() {
        assert_eq!(Network::parse(""), Some(Network::default()));
        let network = Network::parse("udp:5007:7,tcp:8080:80").unwrap();
        let words = network.arguments(false, false).unwrap();
        let [_, words, _, card] = &words[..] else { panic!("{words:?}") };
        assert_eq!(words, "user,id=n0,hostfwd=udp:127.0.0.1:5007-:7,hostfwd=tcp:127.0.0.1:8080-:80");
        assert_eq!(card, "virtio-net-pci,disable-legacy=on,romfile=,netdev=n0");
        assert_eq!(network.arguments(true, false).unwrap()[3], "virtio-net-device,netdev=n0");
        assert!(network.arguments(false, true).unwrap()[3].contains("iommu_platform=on"));
    }

    #[test]
    fn a_model_comes_first() {
        let network = Network::parse("model=e1000e,udp:5007:7").unwrap();
        let forwards = Network::parse("udp:5007:7").unwrap().attached_to;
        assert_eq!(network, Network { model: Model::E1000e, attached_to: forwards });
        let words = network.arguments(false, true).unwrap();
        assert_eq!(words[3], "e1000e,romfile=,netdev=n0");
        // A microvm has no PCI.
        assert_eq!(network.arguments(true, false), None);
        assert_eq!(
            Network::parse("model=e1000e"),
            Some(Network { model: Model::E1000e, attached_to: Network::default().attached_to })
        );
        assert_eq!(Network::parse("model=virtio,wire"), Network::parse("wire"));
    }

    #[test]
    fn a_wire_has_a_card_at_each_end() {
        let words = Network::parse("wire").unwrap().arguments(true, false).unwrap().join(" ");
        let end = |end| format!("-netdev hubport,id=n{end},hubid=0 -device virtio-net-device,netdev=n{end}");
        assert_eq!(words, format!("{} {}", end(0), end(1)));
    }

    #[test]
    fn a_socket_takes_frames() {
        let network = Network::parse("stream:/a,b").unwrap();
        let words = network.arguments(false, false).unwrap().join(" ");
        let expected = "-netdev stream,id=n0,server=off,addr.type=unix,addr.path=/a,,b -device virtio-net-pci";
        assert!(words.starts_with(expected), "{words}");
        assert!(!network.clone().forward(1, 2));
    }

    #[test]
    fn rejects_all_else() {
        for text in [
            "udp",
            "udp:5007",
            "udp:5007:70000",
            "sctp:1:2",
            "udp:5007:7;tcp:1:2",
            "udp:5007:7:8",
            "udp::7",
            "tcp:0:80",
            "tcp:80:0",
            "tcp:80:80,tcp:80:81",
            "stream:",
            "model=",
            "model=ne2k",
            "udp:5007:7,model=e1000e",
        ] {
            assert_eq!(Network::parse(text), None, "{text}");
        }
    }
}
