//! Boots the disk image that `scripts/ci-bios-image` made: the same kernel by
//! way of a BIOS and the `bootloader` crate, to the same report.

mod common;

use bareflow::qemu::{Ending, Machine};
use common::console::assert_console;
use common::root;

#[test]
fn boots_from_a_bios_to_the_same_report() {
    let disk = root().join("target/bios-image/bareflow.img");
    assert!(disk.is_file(), "{} is not there; run scripts/ci-bios-image", disk.display());
    let outcome =
        Machine { disk: Some(disk), ..Machine::new(&[]) }.run(|_| ()).unwrap_or_else(|error| panic!("{error}"));
    assert_eq!(outcome.ending, Ending::Passed, "\n{}\n{}", outcome.console, outcome.complaints);
    let start = outcome.console.find("====").unwrap_or_default();
    assert_console(&outcome.console[start..].replace('\r', ""));
    let report = outcome.report.unwrap_or_else(|| panic!("no report\n{}", outcome.console));
    assert!(report.passed);
    // In ring 0 a call is a matter of some instructions, however the kernel was booted: it has no way into ring 3.
    let cost = |domain: &str| {
        let found = report.environment.domains.iter().find(|cost| cost.domain == domain);
        found.unwrap_or_else(|| panic!("no cost of a call in the {domain} domain")).empty_call_cycles
    };
    let (kernel, user) = (cost("kernel"), cost("user"));
    assert!(kernel < user / 4, "an empty call: {kernel} cycles in the kernel domain, {user} in the user domain");
}
