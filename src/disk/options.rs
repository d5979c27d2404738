//! The options of `disk`.

use std::path::PathBuf;

use clap::{Args, Subcommand, ValueEnum};

/// An action on a disk image.
#[derive(Debug, Subcommand)]
pub enum DiskCommand {
    /// Make an image with a FAT partition that holds the files in /modules.
    Create(CreateOptions),
    /// Show what is in an image's /modules.
    List {
        /// The image.
        image: PathBuf,
    },
}

/// The options of `disk create`.
#[derive(Debug, Args)]
pub struct CreateOptions {
    /// The image to make.
    #[arg(value_name = "IMG")]
    pub image: PathBuf,
    /// The blobs and portable modules to put on the image; their contents are not checked.
    #[arg(value_name = "FILE.mod|FILE.wasm")]
    pub files: Vec<PathBuf>,
    /// Make an image without files.
    #[arg(long, conflicts_with = "files")]
    pub empty: bool,
    /// The image's size, such as 64M or 1G; by default 64M, or more if the files need it.
    #[arg(long, value_name = "SIZE", value_parser = size)]
    pub size: Option<u64>,
    /// The file system; by default FAT16 up to 512M, and FAT32 above.
    #[arg(long, value_enum, value_name = "16|32")]
    pub fat: Option<Fat>,
    /// Overwrite an existing image.
    #[arg(long)]
    pub force: bool,
}

/// The file system.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Fat {
    /// FAT16.
    #[value(name = "16")]
    Fat16,
    /// FAT32.
    #[value(name = "32")]
    Fat32,
}

/// Parses a size in MiB or GiB, and returns it in bytes.
fn size(text: &str) -> Result<u64, String> {
    let split = text.strip_suffix(['M', 'm']).map(|digits| (digits, 20));
    let split = split.or_else(|| text.strip_suffix(['G', 'g']).map(|digits| (digits, 30)));
    let bytes = split.and_then(|(digits, shift)| digits.parse::<u64>().ok()?.checked_mul(1 << shift));
    bytes.filter(|&bytes| bytes > 0).ok_or_else(|| "expected a size such as 64M or 1G".to_owned())
}

#[cfg(test)]
mod tests {
    use super::size;

    #[test]
    fn reads_sizes() {
        assert_eq!((size("64M"), size("2g")), (Ok(64 << 20), Ok(2 << 30)));
        for text in ["", "64", "M", "0M", "-1M", "64K", "18446744073709551615G"] {
            assert!(size(text).is_err(), "{text}");
        }
    }
}
