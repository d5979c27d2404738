//! What `disk` takes.

use std::path::PathBuf;

use clap::{Args, Subcommand, ValueEnum};

/// What to do with an image.
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

/// What `disk create` takes.
#[derive(Debug, Args)]
pub struct CreateOptions {
    /// The image to make.
    #[arg(value_name = "IMG")]
    pub image: PathBuf,
    /// The blobs to put on it; their contents are not judged.
    #[arg(value_name = "FILE.mod")]
    pub files: Vec<PathBuf>,
    /// Make it although no file is named.
    #[arg(long, conflicts_with = "files")]
    pub empty: bool,
    /// Its size, such as 64M or 1G; 64M, or more where the files need it, when not said.
    #[arg(long, value_name = "SIZE", value_parser = size)]
    pub size: Option<u64>,
    /// The file system; FAT16 up to 512M, then FAT32, when not said.
    #[arg(long, value_enum, value_name = "16|32")]
    pub fat: Option<Fat>,
    /// Overwrite an image that is there.
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

/// A number of MiB or GiB, as bytes.
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
