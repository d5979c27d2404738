//! A wire that loses, doubles, delays and cuts frames.

use std::thread::sleep;
use std::time::Duration;

use bareflow::client::Client;
use bareflow_wire::Wire;
use bareflow_wire::faults::Chances;

use crate::common::faulty::push_faulty;
use crate::transfers::{download_with, during, fault, pattern, upload_and_download};

/// The chances of the frames of both directions.
pub const BAD: Chances = Chances { lost: 50, doubled: 100, late: 100, cut: 20 };

/// The bytes of a download from a source that sends 4 MiB.
const BYTES: usize = 4 << 20;

/// Makes transfers, with the driver faulting meanwhile and without, of which all bytes must arrive.
pub fn carries_everything(client: &mut Client, wire: &Wire, port: u16) {
    let wanted = pattern(BYTES);
    let before = wire.counts();
    let took = download_with(port, &wanted, &|| _ = wire.set(BAD));
    println!("download over a bad wire, seed {}: {took:?}, {}", wire.seed(), wire.counts() - before);
    push_faulty(client);
    let (faults, took) = during(
        |begun| download_with(port, &wanted, begun),
        || {
            fault(client);
            sleep(Duration::from_millis(50));
        },
    );
    println!("download over a bad wire with {faults} faults of the driver: {took:?}, {}", wire.counts() - before);
    let took = upload_and_download(port, &wanted);
    let after = wire.set(Chances::default());
    println!("both ways over a bad wire: {took:?}, {}", after - before);
    assert!(after.lost > before.lost && after.doubled > before.doubled, "{after:?}");
    assert!(after.late > before.late && after.cut > before.cut && after.again > before.again, "{after:?}");
}
