//! Frames and TCP segments on their way through modules, in instructions.

use std::error::Error;

use bareflow_builder::Workspace;
use bareflow_frame_cost::{BATCHES, Blobs, Counts, FramePath, SegmentPath, put_on_a_wire};
use bareflow_loader::Domain;
use comfy_table::Table;

use crate::served::Served;
use crate::{blob_of, table, verdict};

/// The most instructions for one module more on the way of a frame.
const MOST_FOR_A_MODULE: f64 = 1000.0;

/// The figures of others by their own words, which were not measured here.
const OTHERS: &str = "Others, by what their authors say of other machines: one protection domain more of seL4's sDDF takes 350 to 1,500 \
    ticks of a packet. MINIX 3 has a network again 0.48 s after its driver was killed, and loses a quarter of the throughput when \
    that happens each second (Herder and others, Failure Resilience for Device Drivers, 2007); the same of these modules: \
    `cargo test --test frames frame -- --nocapture`, and `--test network -- --ignored --nocapture`.";

/// Prints the tables.
pub fn show(workspace: &Workspace) -> Result<(), Box<dyn Error>> {
    let blobs = Blobs::build(|folder| blob_of(workspace, folder, "bench-frames"))?;
    let [mut frames, mut segments] = [FramePath::LENGTHS, SegmentPath::LENGTHS].map(empty);
    let mut prices = [0; 2];
    for iommu in [false, true] {
        let served = Served::start_with(|machine| put_on_a_wire(machine, "wire", iommu))?;
        let mut client = served.client()?;
        let mut all = [[[[0; 2]; 2]; 2]; FramePath::ALL.len()];
        for (path, found) in FramePath::ALL.into_iter().zip(&mut all) {
            *found = path.measure(&mut client, &blobs, "virtio-net")?;
            add(&mut frames, &name_of_frame_path(path), iommu, *found);
        }
        let price = FramePath::price_of_a_module(&all);
        prices = [prices[0].max(price[0]), prices[1].max(price[1])];
        for path in SegmentPath::ALL {
            let found = path.measure(&mut client, &blobs)?;
            let SegmentPath { driver, stack, user } = path;
            let name = format!("driver in {}, stack in {}, user in {}", ring(driver), ring(stack), ring(user));
            add(&mut segments, &name, iommu, found);
        }
        served.end(client)?;
    }
    println!("## Frames on their way through modules\n\n{frames}\n");
    println!(
        "Instructions of one frame, by `--icount`: two cards on a wire inside the machine. An interrupt, and the events that it \
         leads to, come on top, once for all frames that it brings.\n"
    );
    for (count, price) in BATCHES.into_iter().zip(prices) {
        let verdict = verdict(price as f64, MOST_FOR_A_MODULE);
        println!(
            "One module more, {count} at a time: {price} instructions at most, {MOST_FOR_A_MODULE} asked for: {verdict}."
        );
    }
    println!("\n{OTHERS}\n");
    println!("## TCP segments on their way through driver, stack and user\n\n{segments}\n");
    println!(
        "Instructions of one segment with its acknowledgement; the length is that of its frame. tcpip has its default of 32 \
         connections, all of which smoltcp looks at each time that it is polled, and it is polled three times for a single segment.\n"
    );
    Ok(())
}

/// Returns a table without rows, for frames of these lengths.
fn empty(lengths: [u32; 2]) -> Table {
    let mut titles = vec!["modules on the way".to_owned(), "IOMMU".to_owned()];
    for (length, count) in lengths.into_iter().flat_map(|length| BATCHES.map(|count| (length, count))) {
        titles.extend(["in", "out"].map(|way| format!("{length} bytes, {count} at a time, {way}")));
    }
    let titles: Vec<&str> = titles.iter().map(String::as_str).collect();
    table(&titles)
}

/// Adds a row.
fn add(rows: &mut Table, name: &str, iommu: bool, found: [Counts; 2]) {
    let mut row = vec![name.to_owned(), if iommu { "yes" } else { "no" }.to_owned()];
    row.extend(found.as_flattened().as_flattened().iter().map(u64::to_string));
    rows.add_row(row);
}

fn ring(domain: Domain) -> &'static str {
    if domain == Domain::Kernel { "ring 0" } else { "ring 3" }
}

fn name_of_frame_path(path: FramePath) -> String {
    match path {
        FramePath::Alone => "one in ring 0, which is driver and user".to_owned(),
        FramePath::Driver(driver, user) => format!("driver in {}, user in {}", ring(driver), ring(user)),
        FramePath::Passed => "driver, one that passes frames on, and user, all in ring 3".to_owned(),
    }
}
