//! Disk images: other tools must read from them what was put there.

mod common;

use std::fs;
use std::path::Path;
use std::process::{Command, Output};

use common::{assert_code, bareflow, blob, errors, test_blob, text};

/// Runs a tool that `scripts/setup` installs. Several names are tried, since Debian installs some outside of ordinary
/// users' paths.
fn tool(names: &[&str], arguments: &[&str]) -> Output {
    let run = |name: &&str| Command::new(name).args(arguments).output().ok();
    names.iter().find_map(run).unwrap_or_else(|| panic!("{} is missing; run `make setup`", names[0]))
}

/// Fails unless `fsck.vfat` finds the partition clean.
fn assert_clean(image: &Path) {
    let partition = image.with_extension("partition");
    fs::write(&partition, &fs::read(image).unwrap()[1 << 20..]).unwrap();
    let names = ["fsck.vfat", "/usr/sbin/fsck.vfat", "/sbin/fsck.vfat"];
    assert_code(&tool(&names, &["-n", partition.to_str().unwrap()]), 0);
}

#[test]
fn images_are_read_the_same_by_other_tools() {
    let folder = tempfile::tempdir().unwrap();
    let files = [blob("sum"), blob("fibonacci"), test_blob("all-in-one")];
    for (kind, size) in [("16", "64M"), ("16", "8M"), ("16", "600M"), ("32", "64M"), ("32", "40M"), ("32", "600M")] {
        let image = folder.path().join("disk.img");
        let mut arguments = vec!["disk".into(), "create".into(), "--force".into(), image.clone()];
        arguments.extend(["--fat", kind, "--size", size].map(Into::into));
        arguments.extend(files.clone());
        assert_code(&bareflow(&arguments), 0);
        let megabytes: u64 = size.trim_end_matches('M').parse().unwrap();
        assert_eq!(fs::metadata(&image).unwrap().len(), megabytes << 20);
        if megabytes < 100 {
            assert_clean(&image);
        }
        let partition = format!("{}@@1M", image.display());
        let listing = text(&tool(&["mdir"], &["-i", &partition, "-b", "::/modules"]));
        let list = bareflow([Path::new("disk"), Path::new("list"), &image]);
        assert_code(&list, 0);
        assert!(text(&list).contains(&format!(": FAT{kind}, 3 in /modules\n")), "{}", text(&list));
        for file in &files {
            let (name, bytes) = (file.file_name().unwrap().to_str().unwrap(), fs::read(file).unwrap());
            assert!(listing.contains(&format!("::/modules/{name}\n")), "{listing}");
            assert!(text(&list).contains(&format!("{:>10}  1980-01-01 00:00:00  {name}\n", bytes.len())));
            let found = tool(&["mtype"], &["-i", &partition, &format!("::/modules/{name}")]).stdout;
            assert_eq!(found, bytes, "{name}");
        }
    }
}

#[test]
fn the_same_files_give_the_same_image() {
    let folder = tempfile::tempdir().unwrap();
    let images = ["a.img", "b.img"].map(|name| folder.path().join(name));
    for image in &images {
        assert_code(&bareflow([Path::new("disk"), Path::new("create"), image, &blob("sum")]), 0);
    }
    assert_eq!(fs::metadata(&images[0]).unwrap().len(), 64 << 20);
    assert!(fs::read(&images[0]).unwrap() == fs::read(&images[1]).unwrap());
}

#[test]
fn rejects_what_can_not_be_put_on_a_disk_and_leaves_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let sum = blob("sum");
    let path = |name: &str| folder.path().join(name);
    fs::write(path("there.img"), b"precious").unwrap();
    fs::write(path("text.txt"), b"text").unwrap();
    fs::write(path("SUM.mod"), b"text").unwrap();
    fs::File::create(path("large.mod")).unwrap().set_len((16 << 20) + 1).unwrap();
    let before = fs::read_dir(folder.path()).unwrap().count();
    let (new, sum) = (path("new.img"), sum.to_str().unwrap().to_owned());
    let file = |name: &str| path(name).to_str().unwrap().to_owned();
    let cases: [(&Path, Vec<String>, &str); 9] = [
        (&path("there.img"), vec![sum.clone()], "is there already; choose another name or add `--force`"),
        (&path("no/folder.img"), vec![sum.clone()], "can't make"),
        (&new, vec![], "no file is named; name the .mod files for the disk, or add `--empty`"),
        (&new, vec![file("missing.mod")], "can't read"),
        (&new, vec![file("text.txt")], "expected NAME.mod"),
        (&new, vec![file("large.mod")], "expected 16777216 at the most"),
        (&new, vec![sum.clone(), file("SUM.mod")], "is named twice"),
        (&new, vec!["--empty".into(), "--size".into(), "4M".into()], "4 MiB, expected 8 to 2048 for FAT16"),
        (
            &new,
            vec!["--empty".into(), "--fat".into(), "32".into(), "--size".into(), "8M".into()],
            "8 MiB, expected 40 to 65536 for FAT32",
        ),
    ];
    for (image, rest, message) in cases {
        let mut arguments = vec!["disk".to_owned(), "create".to_owned(), image.to_str().unwrap().to_owned()];
        arguments.extend(rest);
        let output = bareflow(&arguments);
        assert_code(&output, 2);
        assert!(errors(&output).contains(message), "{}, expected {message}", errors(&output));
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), before, "{message}");
    }
    assert_eq!(fs::read(path("there.img")).unwrap(), b"precious");
}

#[test]
fn rejects_images_that_are_full_or_no_disk() {
    let folder = tempfile::tempdir().unwrap();
    let image = folder.path().join("disk.img");
    fs::File::create(folder.path().join("a.mod")).unwrap().set_len(9 << 20).unwrap();
    let arguments = ["disk", "create", "disk.img", "a.mod", "--size", "8M"];
    let output =
        Command::new(env!("CARGO_BIN_EXE_bareflow")).args(arguments).current_dir(folder.path()).output().unwrap();
    assert_code(&output, 2);
    assert!(errors(&output).contains("can't make disk.img"), "{}", errors(&output));
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
    fs::write(&image, b"no disk").unwrap();
    let output = bareflow([Path::new("disk"), Path::new("list"), &image]);
    assert_code(&output, 2);
    assert!(errors(&output).contains("expected"), "{}", errors(&output));
}
