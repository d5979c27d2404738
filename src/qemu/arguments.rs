//! QEMU's command line.

use std::env;
use std::ffi::OsString;
use std::os::unix::fs::FileTypeExt;
use std::path::{Path, PathBuf};

use anyhow::{Result, bail};

use super::{Machine, Network, QEMU};
use crate::options::option_value;

/// The path of qboot below the folder that contains QEMU's `bin`.
const QBOOT: &str = "share/qemu/qboot.rom";

impl Machine {
    /// Returns QEMU's arguments.
    ///
    /// Files that it needs are written to `folder`. The host's channel is the socket that QEMU gets as standard input.
    pub(super) fn arguments(&self, folder: &Path) -> Result<Vec<OsString>> {
        let mut all: Vec<OsString> = Vec::new();
        let mut add = |words: &[&str]| all.extend(words.iter().map(OsString::from));
        // microvm has one serial port of its own, and no PCI.
        let is_microvm = self.machine.starts_with("microvm");
        let megabytes = self.memory_megabytes.to_string();
        add(&["-machine", &self.machine, "-cpu", &self.cpu, "-accel", &self.accel, "-m", &megabytes]);
        // Nothing but what follows: no network, no default drives, no option ROMs.
        add(&["-nodefaults", "-no-user-config"]);
        add(&["-display", "none", "-no-reboot", "-chardev", "file,id=c1,path=/dev/stdout", "-serial", "chardev:c1"]);
        add(&["-device", "isa-debug-exit,iobase=0xf4,iosize=0x04", "-chardev", "socket,id=c2,fd=0"]);
        // A device that knows nothing of it goes past the IOMMU.
        let behind = if self.iommu { ",disable-legacy=on,iommu_platform=on" } else { "" };
        if is_microvm {
            // Else its devices are those from before version 1 of the specification.
            add(&["-global", "virtio-mmio.force-legacy=off"]);
        }
        if self.iommu {
            if is_microvm {
                bail!(
                    "microvm has no IOMMU, which is a device on PCI; boot with `--machine q35`, or without `--iommu`"
                );
            }
            add(&["-device", "virtio-iommu-pci"]);
        }
        match (self.virtio_channel, is_microvm) {
            (true, _) => {
                let device = if is_microvm { "virtio-serial-device" } else { "virtio-serial-pci" };
                // Not a `virtconsole`, of which QEMU drops bytes that the host does not take at once.
                add(&[
                    "-device",
                    &format!("{device},max_ports=2{behind}"),
                    "-device",
                    "virtserialport,nr=1,chardev=c2",
                ]);
            }
            (false, true) => add(&["-device", "isa-serial,chardev=c2,index=1"]),
            (false, false) => add(&["-serial", "chardev:c2"]),
        }
        // The `bootloader` crate writes its messages to a screen.
        if self.screen || self.disk.is_some() {
            add(&["-vga", "std"]);
        } else if self.data_disk.is_none()
            // With a hub in the machine, the kernel does not come up behind qboot.
            && !self.network.as_ref().is_some_and(Network::is_wire)
            && let Some(firmware) = minimal_firmware()
        {
            add(&["-bios", &firmware.to_string_lossy()]);
        }
        if self.icount {
            add(&["-icount", "shift=0,sleep=off"]);
        }
        if let Some(path) = &self.qmp {
            add(&["-qmp", &format!("unix:{},server=on,wait=off", option_value(path))]);
        }
        if let Some(path) = self.network.as_ref().and_then(Network::stream)
            && !std::fs::metadata(path).is_ok_and(|file| file.file_type().is_socket())
        {
            bail!(
                "no socket at {}, expected that of who takes the card's frames, such as passt: start it before",
                path.display()
            );
        }
        if let Some(network) = &self.network {
            let Some(words) = network.arguments(is_microvm, self.iommu) else {
                bail!("microvm has no PCI, on which this card is; boot with `--machine q35`, or without `model=`");
            };
            words.iter().for_each(|word| add(&[word]));
        }
        self.extra_arguments.iter().for_each(|word| add(&[word]));
        self.devices.iter().for_each(|device| add(&["-device", device]));
        if let Some(disk) = &self.data_disk {
            let device = if is_microvm { "virtio-blk-device" } else { "virtio-blk-pci" };
            let access = if self.data_disk_read_only { "readonly=on," } else { "" };
            add(&["-drive", &format!("if=none,id=d0,format=raw,{access}file={}", option_value(disk))]);
            add(&["-device", &format!("{device},drive=d0{behind}")]);
        }
        if let Some(disk) = &self.disk {
            add(&["-drive", &format!("format=raw,snapshot=on,file={}", option_value(disk))]);
            // The guard recognises its QEMU by the folder's name, which no other argument contains here.
            add(&["-pidfile", &folder.join("pid").to_string_lossy()]);
            return Ok(all);
        }
        let kernel = folder.join("kernel.elf");
        std::fs::write(&kernel, &self.kernel)?;
        let archive = folder.join("boot.tar");
        std::fs::write(&archive, self.boot_archive()?)?;
        add(&["-kernel", &kernel.to_string_lossy(), "-initrd", &archive.to_string_lossy()]);
        add(&["-append", &self.command_line]);
        Ok(all)
    }
}

/// Returns the path of qboot, which only enters the kernel: within some ten thousand instructions on every machine,
/// where SeaBIOS, the default, takes sixteen million on q35. SeaBIOS is needed where PCI devices (disks) need addresses
/// assigned, and where there is a text screen.
///
/// `None` if this QEMU has none; the default firmware is used then.
fn minimal_firmware() -> Option<PathBuf> {
    let path = env::var_os("PATH")?;
    let program = env::split_paths(&path).map(|folder| folder.join(QEMU)).find(|program| program.is_file())?;
    Some(program.parent()?.parent()?.join(QBOOT)).filter(|firmware| firmware.is_file())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(machine: &Machine) -> String {
        let folder = tempfile::tempdir().unwrap();
        let words = machine.arguments(folder.path()).unwrap();
        words.join(&OsString::from(" ")).into_string().unwrap()
    }

    #[test]
    fn a_data_disk_is_what_the_machine_can_have() {
        let q35 = Machine { data_disk: Some("d,1.img".into()), ..Machine::new(b"") };
        let expected = "-drive if=none,id=d0,format=raw,file=d,,1.img -device virtio-blk-pci,drive=d0";
        assert!(words(&q35).contains(expected), "{}", words(&q35));
        let microvm = Machine { machine: "microvm".into(), ..q35 };
        assert!(words(&microvm).contains("virtio-blk-device,drive=d0"), "{}", words(&microvm));
        assert!(!words(&Machine::new(b"")).contains("virtio"));
    }

    #[test]
    fn the_channel_is_what_the_machine_can_have() {
        let q35 = Machine { virtio_channel: true, ..Machine::new(b"") };
        let expected = "-device virtio-serial-pci,max_ports=2 -device virtserialport,nr=1,chardev=c2";
        assert!(words(&q35).contains(expected), "{}", words(&q35));
        let microvm = Machine { machine: "microvm".into(), ..q35 };
        assert!(words(&microvm).contains("virtio-serial-device"), "{}", words(&microvm));
        assert!(words(&Machine::new(b"")).contains("-serial chardev:c2"));
    }

    #[test]
    fn what_needs_the_usual_firmware_gets_it() {
        let plain = Machine::new(b"");
        let disk = Machine { data_disk: Some("d.img".into()), ..plain.clone() };
        let screen = Machine { screen: true, ..plain.clone() };
        assert!(!words(&disk).contains("-bios"), "{}", words(&disk));
        assert!(words(&screen).contains("-vga std") && !words(&screen).contains("-bios"), "{}", words(&screen));
        assert_eq!(words(&plain).contains("-bios"), minimal_firmware().is_some());
    }

    #[test]
    fn all_devices_are_behind_an_iommu() {
        let network = Network::parse("");
        let plain = Machine { network, virtio_channel: true, data_disk: Some("d".into()), ..Machine::new(b"") };
        assert!(!words(&plain).contains("iommu"), "{}", words(&plain));
        let behind = Machine { iommu: true, ..plain };
        let words = words(&behind);
        assert!(words.contains("-device virtio-iommu-pci "), "{words}");
        for device in ["virtio-serial-pci", "virtio-net-pci", "virtio-blk-pci"] {
            let (_, rest) = words.split_once(device).unwrap();
            let own = rest.split(' ').next().unwrap();
            assert!(own.contains(",disable-legacy=on") && own.contains(",iommu_platform=on"), "{device}{own}");
        }
        let microvm = Machine { machine: "microvm".into(), ..behind };
        let error = microvm.arguments(tempfile::tempdir().unwrap().path()).unwrap_err();
        assert!(error.to_string().contains("microvm has no IOMMU"), "{error}");
    }

    #[test]
    fn every_machine_names_its_folder_by_which_it_is_ended() {
        let plain = Machine::new(b"");
        let from_disk = Machine { disk: Some("d.img".into()), ..plain.clone() };
        for machine in [plain, from_disk] {
            let folder = tempfile::tempdir().unwrap();
            let words = machine.arguments(folder.path()).unwrap();
            let folder = folder.path().to_str().unwrap();
            assert!(words.iter().any(|word| word.to_str().unwrap().starts_with(folder)), "{words:?}");
        }
    }

    #[test]
    fn commas_of_paths_are_written_twice() {
        let machine = Machine { qmp: Some("/a,b".into()), ..Machine::new(b"") };
        assert!(words(&machine).contains("-qmp unix:/a,,b,server=on,wait=off"), "{}", words(&machine));
    }

    #[test]
    fn a_disk_that_nothing_is_saved_to_is_only_read() {
        let machine = Machine { data_disk: Some("d.img".into()), data_disk_read_only: true, ..Machine::new(b"") };
        assert!(words(&machine).contains("format=raw,readonly=on,file=d.img"), "{}", words(&machine));
    }

    #[test]
    fn the_machine_has_as_much_memory_as_is_said() {
        assert!(words(&Machine::new(b"")).contains(" -m 128 "));
        let machine = Machine { memory_megabytes: 512, ..Machine::new(b"") };
        assert!(words(&machine).contains(" -m 512 "), "{}", words(&machine));
    }
}
