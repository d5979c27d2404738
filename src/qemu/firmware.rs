//! The firmware that a machine starts with.
//!
//! A kernel that QEMU loads needs little of it. qboot, which comes with QEMU for microvm, enters the kernel within some
//! ten thousand instructions on every machine; SeaBIOS, the default, takes sixteen million on q35. SeaBIOS is needed
//! where PCI devices (disks) need addresses assigned, and where there is a text screen.

use std::env;
use std::path::PathBuf;

use super::QEMU;

/// The path of qboot below the folder that contains QEMU's `bin`.
const QBOOT: &str = "share/qemu/qboot.rom";

/// Returns the path of qboot, which only enters the kernel. `None` if this QEMU has none; the default firmware is used
/// then.
pub(super) fn minimal() -> Option<PathBuf> {
    let path = env::var_os("PATH")?;
    let program = env::split_paths(&path).map(|folder| folder.join(QEMU)).find(|program| program.is_file())?;
    Some(program.parent()?.parent()?.join(QBOOT)).filter(|firmware| firmware.is_file())
}
