//! The firmware that a machine starts by.
//!
//! A kernel that QEMU loads needs little of it: qboot, which QEMU brings along
//! for microvm, enters it within some ten thousand instructions on every machine;
//! SeaBIOS, the usual one, takes sixteen million on q35. SeaBIOS is needed where
//! devices on PCI want addresses (disks) and where a text screen is.

use std::env;
use std::path::PathBuf;

use super::QEMU;

/// Where it lies below the folder that holds QEMU's `bin`.
const QBOOT: &str = "share/qemu/qboot.rom";

/// The firmware that does no more than enter the kernel; `None` where this QEMU has none,
/// which then takes its usual one.
pub(super) fn minimal() -> Option<PathBuf> {
    let path = env::var_os("PATH")?;
    let program = env::split_paths(&path).map(|folder| folder.join(QEMU)).find(|program| program.is_file())?;
    Some(program.parent()?.parent()?.join(QBOOT)).filter(|firmware| firmware.is_file())
}
