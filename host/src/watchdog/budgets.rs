//! The budgets of the images that a platform has loaded, as it and the watchdog know them.
//!
//! Where there is one image with a budget already, another one costs no more than counting it.

use std::cell::RefCell;
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use super::{NEWS, list, watch};
use crate::signals;

/// A budget, and how many images have it.
#[derive(Debug)]
pub(super) struct Budget {
    pub time_us: u32,
    /// Only the platform changes it.
    images: AtomicUsize,
}

impl Budget {
    /// Whether any image has it.
    pub fn is_used(&self) -> bool {
        self.images.load(Ordering::Relaxed) > 0
    }
}

/// The budgets of a platform's images.
#[derive(Debug, Default)]
pub(crate) struct Expected(RefCell<Vec<Arc<Budget>>>);

/// So many budgets are kept at the least, used or not.
const KEPT: usize = 8;

impl Expected {
    /// Takes note of an image's budget.
    ///
    /// # Errors
    /// When the system does not let the watchdog's thread start.
    pub fn expect(&self, time_us: u32) -> io::Result<()> {
        let mut budgets = self.0.borrow_mut();
        let index = budgets.iter().position(|budget| budget.time_us == time_us).unwrap_or_else(|| {
            if budgets.len() >= KEPT {
                budgets.retain(|budget| budget.is_used());
            }
            budgets.push(Arc::new(Budget { time_us, images: AtomicUsize::new(0) }));
            budgets.len() - 1
        });
        let budget = &budgets[index];
        let images = budget.images.load(Ordering::Relaxed);
        budget.images.store(images + 1, Ordering::Relaxed);
        if images > 0 {
            return Ok(());
        }
        // The watchdog may have dropped it since it was used last.
        announce(budget).inspect_err(|_| budget.images.store(0, Ordering::Relaxed))
    }

    /// An image that had this budget is gone.
    pub fn forget(&self, time_us: u32) {
        if let Some(budget) = self.0.borrow().iter().find(|budget| budget.time_us == time_us) {
            let images = budget.images.load(Ordering::Relaxed);
            budget.images.store(images.saturating_sub(1), Ordering::Relaxed);
        }
    }
}

impl Drop for Expected {
    fn drop(&mut self) {
        // Images may have been lost.
        self.0.get_mut().iter().for_each(|budget| budget.images.store(0, Ordering::Relaxed));
    }
}

/// Has the watchdog know of a budget, if it does not.
fn announce(budget: &Arc<Budget>) -> io::Result<()> {
    let mut list = list();
    if !list.runs {
        let thread = std::thread::Builder::new().name("bareflow-watchdog".to_owned());
        signals::all_blocked(|| thread.spawn(watch))?;
        list.runs = true;
    }
    if !list.budgets.iter().any(|(known, _)| Arc::ptr_eq(known, budget)) {
        list.budgets.push((Arc::clone(budget), 0));
        NEWS.notify_one();
    }
    Ok(())
}
