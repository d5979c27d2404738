//! The interface `regions`: memory that modules share, in whole pages.
//!
//! The loader itself provides it under the name `loader`. A region belongs to the module that created it, and is named by
//! a number. Its owner lends it to other modules, which import `regions`, too, and passes the number as an argument of a
//! call. A module uses a region by opening it: [`RegionsClient::exclusive`], [`read_only`](RegionsClient::read_only) and
//! [`shared`](RegionsClient::shared) return a guard, as long as which the region stays where it is.
//!
//! ```
//! use bareflow_regions::{Access, RegionError, RegionsClient};
//!
//! fn hand_over(regions: &mut RegionsClient<'_>, text: &[u8]) -> Result<u32, RegionError> {
//!     use bareflow_regions::Regions;
//!     let region = regions.create(text.len() as u64)?;
//!     regions.exclusive(region)?[..text.len()].copy_from_slice(text);
//!     regions.lend(region, "printer", Access::Exclusive)?;
//!     Ok(region)
//! }
//! ```

#![no_std]

use bareflow_abi::{CallError, Failure, Plain, Scalar, interface};

mod guard;

pub use guard::{Exclusive, ReadOnly, Shared};

/// Memory that modules share. Each call is about the regions of the module that makes it.
#[interface(version = "1.1")]
pub trait Regions {
    /// Creates a region of `bytes`, rounded up to whole pages of zeros. Returns its number.
    fn create(&mut self, bytes: u64) -> Result<u32, RegionError>;

    /// Frees a region of the caller's, which is not lent.
    fn destroy(&mut self, region: u32) -> Result<(), RegionError>;

    /// Lends a region of the caller's to the module `to`, or to the one that its import of this name is bound to by name. If it is lent, then as read-only or shared memory, and again so.
    fn lend(&mut self, region: u32, to: &str, access: Access) -> Result<(), RegionError>;

    /// Takes a region of the caller's back from all modules that it is lent to: it is mapped at none of them any more.
    fn take_back(&mut self, region: u32) -> Result<(), RegionError>;

    /// Gives a region back that was lent to the caller.
    fn give_back(&mut self, region: u32) -> Result<(), RegionError>;

    /// Opens a region that the caller has this access to, for as long as it runs. Says where it lies.
    ///
    /// Modules call [`RegionsClient::exclusive`] and the like, which close it, too.
    fn open(&mut self, region: u32, access: Access, view: &mut View) -> Result<(), RegionError>;

    /// Closes a region that the caller has opened, by the key in its view.
    fn close(&mut self, region: u32, key: u64) -> Result<(), RegionError>;

    /// Since 1.1. Returns the number of the module that lent a region to the caller, by which a provider knows it
    /// ([`Context::caller`](bareflow_abi::Context::caller)): one who is told a region's number by a module learns here whether
    /// the region is that module's.
    fn lender(&self, region: u32) -> Result<u32, RegionError>;
}

/// The access to a region.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Scalar)]
#[repr(u32)]
pub enum Access {
    /// Read and write, for one module at a time: a lend moves the region.
    Exclusive = 0,
    /// Read, for its owner as well.
    ReadOnly = 1,
    /// Read and write, for all at the same time, by [shared bytes](bareflow_abi::shared::SharedBytes) alone.
    Shared = 2,
}

/// The place of a region, as the module sees it that has opened it.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Plain)]
pub struct View {
    /// The address.
    pub address: u64,
    /// The size, in bytes.
    pub bytes: u64,
    /// The number by which it is closed, of this opening alone: who has a guard has it.
    pub key: u64,
}

/// An error of regions.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Failure)]
pub enum RegionError {
    /// There is no such region, or the caller neither owns it nor was lent it.
    NoSuchRegion,
    /// Only its owner may do that.
    NotOwner,
    /// The region is lent, in another way or to the same module, and has to be taken back first.
    Lent,
    /// The region is not lent to the caller, or not lent at all.
    NotLent,
    /// The region is open: here, or at a module that runs now.
    Open,
    /// The region is not open, or by another key.
    NotOpen,
    /// The caller has another access to it.
    OtherAccess,
    /// The region was to be lent to its owner.
    ToItself,
    /// There is no such module.
    NoSuchModule,
    /// The other module does not import `regions`.
    NotAnImporter,
    /// The region has no bytes, or with it the module would have more than it may.
    TooLarge,
    /// There was no memory.
    NoMemory,
    /// There are no regions in the domain of this module, or of the other one.
    Unsupported,
    /// The call gave no answer.
    #[call_error]
    Call(CallError),
}
