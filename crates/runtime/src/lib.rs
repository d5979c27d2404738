//! Building blocks for platforms of `bareflow-loader`.
//!
//! [`Direct`] is a complete platform for a kernel that can map pages: it runs modules in ring 0, on the caller's stack,
//! without any containment. A kernel provides three functions:
//!
//! ```
//! use bareflow_loader::{KernelDomain, ModuleManager, Timing};
//! use bareflow_runtime::{Access, Direct, PageMemory, PageRange};
//! # // What stands for the page tables of a kernel: a process of Linux.
//! # mod paging {
//! #     use bareflow_runtime::{Access, PageRange};
//! #     use rustix::mm::{MapFlags, MprotectFlags, ProtFlags, mmap_anonymous, mprotect, munmap};
//! #     const FLAGS: MapFlags = MapFlags::PRIVATE.union(MapFlags::FIXED);
//! #     pub fn map(pages: PageRange) -> bool {
//! #         let protection = ProtFlags::READ | ProtFlags::WRITE;
//! #         unsafe { mmap_anonymous(pages.start as *mut _, pages.bytes, protection, FLAGS) }.is_ok()
//! #     }
//! #     pub fn set_access(pages: PageRange, access: Access) -> bool {
//! #         let flags = if access == Access::Execute { MprotectFlags::READ | MprotectFlags::EXEC } else { MprotectFlags::READ };
//! #         unsafe { mprotect(pages.start as *mut _, pages.bytes, flags) }.is_ok()
//! #     }
//! #     pub fn unmap(pages: PageRange) {
//! #         unsafe { munmap(pages.start as *mut _, pages.bytes) }.unwrap();
//! #     }
//! #     pub fn reserve(bytes: usize) -> u64 {
//! #         unsafe { mmap_anonymous(std::ptr::null_mut(), bytes, ProtFlags::empty(), MapFlags::PRIVATE | MapFlags::NORESERVE) }.unwrap() as u64
//! #     }
//! # }
//! struct KernelPages;
//!
//! // SAFETY: the kernel's page tables do what is asked for, or nothing.
//! unsafe impl PageMemory for KernelPages {
//!     unsafe fn allocate(&self, pages: PageRange) -> bool {
//!         paging::map(pages)
//!     }
//!     unsafe fn protect(&self, pages: PageRange, access: Access) -> bool {
//!         paging::set_access(pages, access)
//!     }
//!     unsafe fn free(&self, pages: PageRange) {
//!         paging::unmap(pages)
//!     }
//! }
//!
//! # let blobs = (include_bytes!("../../../tests/golden/abi-1.2/echo.mod"), include_bytes!("../../../tests/golden/abi-1.2/heap.mod"));
//! # let span = paging::reserve(bareflow_runtime::SPAN_BYTES as usize);
//! // SAFETY: nothing else lies in the span.
//! let platform = unsafe { Direct::new(KernelPages, span) }.with_log(|line| println!("{line}"));
//! // SAFETY: the blobs are our own.
//! let trusted = unsafe { KernelDomain::trust_all_blobs() };
//! let manager = ModuleManager::with_kernel_domain(platform, Timing::Precise, trusted);
//! let (echo, heap) = (manager.load(blobs.0).unwrap(), manager.load(blobs.1).unwrap());
//! let mut output = [0; 8];
//! assert_eq!(manager.execute_with(echo, b"hello", &mut output).unwrap().result, 5);
//! assert_eq!(&output[..5], b"hello");
//! assert_eq!(manager.execute(heap), Ok(1000));
//! manager.unload(echo).unwrap();
//! ```

#![no_std]

pub mod clock;
mod direct;
mod fpu;
mod invoke;
#[cfg(feature = "x86_64")]
mod mapped;
mod reach;
mod running_call;
mod serialize;
pub mod services;

pub use direct::{Access, Direct, DirectImage, PageMemory, PageRange, SPAN_BYTES};
pub use invoke::serve_invoke;
#[cfg(feature = "x86_64")]
pub use mapped::MappedPages;
pub use reach::Reach;
pub use running_call::{Exception, RunningCall};
pub use serialize::Serializer;
