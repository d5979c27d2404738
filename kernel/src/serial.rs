//! Serial ports (16550, National Semiconductor's data sheet). Every wait is limited: bytes sent to a port that isn't
//! there are dropped.

use bareflow_protocol::Message;
use spin::{Lazy, Mutex};
use x86_64::instructions::port::Port;

/// The base of COM1: the console.
pub const COM1: u16 = 0x3f8;

/// The base of COM2: the host.
pub const COM2: u16 = 0x2f8;

/// Line status: a byte has arrived.
const DATA_READY: u8 = 1 << 0;

/// Line status: the transmitter's buffer is empty.
const BUFFER_EMPTY: u8 = 1 << 5;

/// Line status: the transmitter has sent everything.
const ALL_SENT: u8 = 1 << 6;

/// The size of the transmitter's buffer, in bytes.
const FIFO_SIZE: usize = 16;

/// The number of reads of the line status after which the port is given up.
const SPIN_LIMIT: u32 = 20_000_000;

/// A serial port.
#[derive(Clone, Debug)]
pub struct Serial {
    base: u16,
    present: bool,
}

impl Serial {
    /// Sets the port up for 115200 baud, 8 bits, no parity, one stop bit.
    pub fn open(base: u16) -> Serial {
        let serial = Serial { base, present: true };
        serial.write(1, 0x00); // no interrupts
        serial.write(3, 0x80); // the next two set the divisor
        serial.write(0, 0x01);
        serial.write(1, 0x00);
        serial.write(3, 0x03); // 8n1
        serial.write(2, 0xc7); // buffers on and empty
        serial.write(4, 0x0b); // ready to send
        // The scratch register keeps what is written to it, if there is a port.
        serial.write(7, 0x5a);
        let present = serial.read(7) == 0x5a;
        Serial { base, present }
    }

    /// Sends all `bytes`, or as many as the port takes before it is given up.
    pub fn send(&mut self, bytes: &[u8]) {
        for chunk in bytes.chunks(FIFO_SIZE) {
            if !self.present || !self.wait_for(BUFFER_EMPTY) {
                self.present = false;
                return;
            }
            for &byte in chunk {
                self.write(0, byte);
            }
        }
    }

    /// Returns the next byte that has arrived, if any.
    pub fn receive(&self) -> Option<u8> {
        (self.present && self.read(5) & DATA_READY != 0).then(|| self.read(0))
    }

    /// Waits until everything that was sent has left the port. Called before the machine is left.
    pub fn flush(&self) {
        if self.present {
            self.wait_for(ALL_SENT);
        }
    }

    fn wait_for(&self, status: u8) -> bool {
        (0..SPIN_LIMIT).any(|_| self.read(5) & status != 0)
    }

    fn write(&self, register: u16, value: u8) {
        // SAFETY: the eight ports from `base` on are the serial port's, and only this code uses them.
        unsafe { Port::new(self.base + register).write(value) }
    }

    fn read(&self, register: u16) -> u8 {
        // SAFETY: as above; reading affects only the serial port.
        unsafe { Port::new(self.base + register).read() }
    }
}

/// The port to the host, opened with the first message: setting it up again would empty its buffers.
static HOST: Lazy<Mutex<Serial>> = Lazy::new(|| Mutex::new(Serial::open(COM2)));

/// Sends a message to the host.
pub fn tell_host(message: &Message) {
    let mut host = HOST.lock();
    host.send(&message.to_frame());
    host.flush();
}
