//! Calls that an observer notes, with the modules and imports that they call. Other calls go past this file.

use bareflow_abi::CallRefusal;
use bareflow_abi::call::CALL_OK;
use bareflow_abi::interface::{CallError, Frame, Reply, Shape};
use bareflow_loader::{Call, CallFailure, CallOutcome, Callees, TimedCall, TimedReply};
use bareflow_runtime::Reach;

use crate::call;
use crate::image::Image;
use crate::kernel::observe;
use crate::services::OBSERVED_TABLE;

/// Calls a module.
#[cold]
pub fn call(
    call: &Call<'_, Image>,
    output: &mut [u8],
    callees: Option<&dyn Callees>,
) -> Result<TimedCall, CallFailure> {
    let callees = callees.map(ObservedCallees);
    let reach = callees.as_ref().map(|callees| Reach::of(callees));
    observe(|observer| observer.begin_call(call.module(), call.reason(), call.input(), output.len()));
    let done = call::call(call, OBSERVED_TABLE, output, reach.as_ref());
    observe(|observer| observer.end_call(done.as_ref(), output));
    done
}

/// Calls a method.
#[cold]
pub fn call_method(
    call: &Call<'_, Image>,
    frame: &mut Frame<'_>,
    callees: Option<&dyn Callees>,
) -> Result<TimedReply, CallFailure> {
    let callees = callees.map(ObservedCallees);
    let callees = callees.as_ref().map(|callees| callees as &dyn Callees);
    observe(|observer| observer.begin_method(call.module(), call.reason(), frame));
    let done = match call.image().user() {
        None => call::call_method_in_place(call, |_| OBSERVED_TABLE, frame, callees),
        Some(_) => call::call_method(call, frame, callees),
    };
    observe(|observer| observer.end_method(done.as_ref(), frame));
    done
}

/// The modules and imports that an observed call may call.
struct ObservedCallees<'call>(&'call dyn Callees);

impl Callees for ObservedCallees<'_> {
    fn call(&self, name: &[u8], input: &[u8], output: &mut [u8]) -> Result<CallOutcome, CallRefusal> {
        let done = self.0.call(name, input, output);
        let (told, written) = match &done {
            Ok(outcome) => ((CALL_OK, outcome.result), output.get(..outcome.output_length).unwrap_or_default()),
            Err(refused) => ((*refused as u32, 0), &[][..]),
        };
        observe(|observer| observer.note_call(name, input, output.len(), told, written));
        done
    }

    fn shape(&self, import: u32, method: u32) -> Result<Shape, CallError> {
        self.0.shape(import, method)
    }

    fn invoke(&self, import: u32, method: u32, frame: &mut Frame<'_>) -> Reply {
        observe(|observer| observer.begin_invoke(import, method, frame));
        let reply = self.0.invoke(import, method, frame);
        observe(|observer| observer.end_invoke(reply, frame));
        reply
    }

    fn find_in_region(&self, address: u64, length: u64, to_write: bool) -> Option<u64> {
        self.0.find_in_region(address, length, to_write)
    }
}
