//! Traps: a module's exception ends its call, any other one is the kernel's.

mod debug;
pub mod descriptor_tables;
mod handler;
mod origin;
mod stubs;
