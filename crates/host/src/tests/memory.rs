use super::*;

#[test]
fn maps_nothing_writable_and_executable_and_reuses_addresses() {
    let platform = platform();
    let kernel = usual(Domain::Kernel);
    let first = place(&platform, &[0xc3], &kernel);
    let second = place(&platform, &[0xc3], &kernel);
    let maps = std::fs::read_to_string("/proc/self/maps").unwrap();
    assert!(!maps.lines().any(|line| line.contains("rwx") || line.contains("-wx")), "{maps}");
    let base = first.segments.base;
    assert_ne!(second.segments.base, base);
    platform.release(first);
    let third = place(&platform, &[0xc3], &kernel);
    assert_eq!(third.segments.base, base);
    platform.release(second);
    platform.release(third);
}

/// The context's fourth word is the input, and the fifth its length; then come the output, its capacity and its length:
/// `mov rsi, [rdi + 24]; mov rcx, [rdi + 32]; mov [rdi + 56], rcx; mov rax, [rdi + 40]; xchg rdi, rax; rep movsb; mov
/// eax, 7; ret`
pub(super) const COPY: [u8; 26] = [
    0x48, 0x8b, 0x77, 24, 0x48, 0x8b, 0x4f, 32, 0x48, 0x89, 0x4f, 56, 0x48, 0x8b, 0x47, 40, 0x48, 0x97, 0xf3, 0xa4,
    0xb8, 7, 0, 0, 0, 0xc3,
];

#[test]
fn passes_input_and_output() {
    let platform = platform();
    for domain in Domain::ALL {
        let image = place(&platform, &COPY, &usual(domain));
        // Some sizes exceed what a channel keeps between calls.
        for size in [0, 1, 100, 5000, 20 << 20, 5000] {
            let input = (0..size).map(|index| index as u8).collect::<Vec<_>>();
            let mut output = vec![0xff; size + 1];
            let outcome = call_with(&platform, &image, &input, &mut output).unwrap();
            assert_eq!(outcome, CallOutcome { result: 7, output_length: size });
            assert!(output[..size] == input && output[size] == 0xff, "{domain:?} {size}");
        }
        platform.release(image);
    }
}

#[test]
fn gives_each_image_its_own_heap_and_data() {
    let platform = platform();
    // Context's tenth and eleventh word are the heap: mov rax, [rdi + 64]; mov rcx, [rdi + 72];
    // mov byte ptr [rax + rcx - 1], 1; inc dword ptr [rax]; mov eax, [rax]; ret
    let code = [0x48, 0x8b, 0x47, 64, 0x48, 0x8b, 0x4f, 72, 0xc6, 0x44, 0x08, 0xff, 1, 0xff, 0x00, 0x8b, 0x00, 0xc3];
    for domain in Domain::ALL {
        let placement =
            Placement { domain, budget: Budget { heap_bytes: 8192, ..Budget::DEFAULT }, services: u32::MAX };
        let images = [place(&platform, &code, &placement), place(&platform, &code, &placement)];
        for count in 1..4 {
            assert_eq!([call(&platform, &images[0]), call(&platform, &images[1])], [Ok(count); 2], "{domain:?}");
        }
        images.into_iter().for_each(|image| platform.release(image));
    }
}

#[test]
fn refuses_what_a_channel_has_no_addresses_for() {
    let channel = crate::channel::Channel::new().unwrap();
    assert!(channel.grow(8 << 30).is_err() && channel.grow(u64::MAX).is_err());
    assert!(channel.grow(8 << 20).is_ok() && channel.room() >= 8 << 20);
    channel.shrink().unwrap();
    assert!(channel.room() < crate::channel::KEPT);
}

#[test]
fn leaves_what_others_have_on_the_same_page() {
    let platform = platform();
    let size = ImageSize { text_bytes: 3, rodata_bytes: 8, data_bytes: 8, alignment: 8 };
    let fill = |byte: u8| {
        let mut image = platform.allocate(size, &usual(Domain::Kernel)).unwrap();
        let [text, rodata, data] = image.segments();
        text.copy_from_slice(&[0x31, 0xc0, 0xc3]);
        rodata.fill(byte);
        data.fill(byte);
        platform.seal(image).unwrap()
    };
    let bytes = |image: &Image| {
        let [_, (rodata, _), (data, _)] = image.segments.all();
        // SAFETY: both segments have eight bytes, and the image exists.
        unsafe { [rodata, data].map(|start| *std::ptr::with_exposed_provenance::<[u8; 8]>(start as usize)) }
    };
    let [first, second, third] = [1, 2, 3].map(fill);
    platform.release(second);
    assert_eq!([bytes(&first), bytes(&third)], [[[1; 8]; 2], [[3; 8]; 2]]);
    assert_eq!((call(&platform, &first), call(&platform, &third)), (Ok(0), Ok(0)));
    // The next image there starts with zeros.
    let mut image = platform.allocate(size, &usual(Domain::Kernel)).unwrap();
    let [_, rodata, data] = image.segments();
    assert_eq!((rodata.to_vec(), data.to_vec()), (vec![0; 8], vec![0; 8]));
    for image in [first, third, platform.seal(image).unwrap()] {
        platform.release(image);
    }
}
