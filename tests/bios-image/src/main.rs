//! `bios-image KERNEL IMAGE`: makes a disk image that a BIOS boots.

use std::path::Path;

use bootloader::BiosBoot;

fn main() {
    let arguments: Vec<_> = std::env::args().collect();
    let [_, kernel, image] = arguments.as_slice() else {
        eprintln!("usage: bios-image KERNEL IMAGE");
        std::process::exit(2);
    };
    if let Err(error) = BiosBoot::new(Path::new(kernel)).create_disk_image(Path::new(image)) {
        eprintln!("bios-image: can't make {image} of {kernel}: {error:#}");
        std::process::exit(1);
    }
}
