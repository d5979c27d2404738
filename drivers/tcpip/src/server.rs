//! The interface, on the stack.

use bareflow_abi::{CallError, Out};
use bareflow_events::Events;
use bareflow_tcp::{Peer, Ready, Tcp, TcpError};

use crate::stack::Stack;
use crate::{Event, LIVING, Server};

/// The error of a stack that is not there, before `init` or after it failed.
const NOTHING: TcpError = TcpError::Call(CallError::Faulted);

impl Server<'_> {
    /// Returns the number of the module that calls.
    fn caller(&self) -> u32 {
        self.context.caller()
    }

    /// Does something for the caller, and has it go out soon.
    fn change<T>(&mut self, work: impl FnOnce(&mut Stack, u32) -> Result<T, TcpError>) -> Result<T, TcpError> {
        let caller = self.caller();
        let living = &mut *LIVING.lock();
        let stack = living.stack.as_mut().ok_or(NOTHING)?;
        stack.hear(caller);
        let done = work(stack, caller);
        stack.keep(self.state);
        if stack.is_due() && !living.is_armed {
            living.is_armed = self.imports.events.after(Event::ON_TIMER, 0).is_ok();
        }
        done
    }
}

impl Tcp for Server<'_> {
    fn begin(&mut self) -> Result<(), TcpError> {
        self.change(|stack, caller| {
            stack.begin(caller);
            Ok(())
        })
    }

    fn listen(&mut self, port: u16, backlog: u32) -> Result<u32, TcpError> {
        self.change(|stack, caller| stack.listen(caller, port, backlog))
    }

    fn unlisten(&mut self, listener: u32) -> Result<(), TcpError> {
        self.change(|stack, caller| stack.unlisten(caller, listener))
    }

    fn accept(&mut self, listener: u32) -> Result<u32, TcpError> {
        self.change(|stack, caller| stack.accept(caller, listener))
    }

    fn connect(&mut self, to: &Peer) -> Result<u32, TcpError> {
        self.change(|stack, caller| stack.connect(caller, *to))
    }

    fn peer(&self, connection: u32, peer: &mut Peer) -> Result<(), TcpError> {
        let caller = self.caller();
        let living = LIVING.lock();
        *peer = living.stack.as_ref().ok_or(NOTHING)?.peer(caller, connection)?;
        Ok(())
    }

    fn receive(&mut self, connection: u32, into: &mut Out<'_, u8>) -> Result<bool, TcpError> {
        self.change(|stack, caller| stack.receive(caller, connection, into))
    }

    fn send(&mut self, connection: u32, bytes: &[u8]) -> Result<u32, TcpError> {
        self.change(|stack, caller| stack.send(caller, connection, bytes))
    }

    fn finish(&mut self, connection: u32) -> Result<(), TcpError> {
        self.change(|stack, caller| stack.finish(caller, connection))
    }

    fn close(&mut self, connection: u32) -> Result<(), TcpError> {
        self.change(|stack, caller| stack.forget(caller, connection, false))
    }

    fn abort(&mut self, connection: u32) -> Result<(), TcpError> {
        self.change(|stack, caller| stack.forget(caller, connection, true))
    }

    fn ready(&mut self, into: &mut Out<'_, Ready>) -> Result<(), TcpError> {
        self.change(|stack, caller| {
            stack.ready(caller, into);
            Ok(())
        })
    }
}
