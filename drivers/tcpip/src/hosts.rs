//! Addresses, of which each is to be that of a single host.

use alloc::format;
use alloc::string::String;

use smoltcp::wire::{Ipv4Address, Ipv4Cidr};

/// Returns whether a host other than the own one can have an address, seen from a network.
pub fn is_host(address: Ipv4Address, network: Ipv4Cidr) -> bool {
    let is_special =
        address.is_unspecified() || address.is_multicast() || address.is_broadcast() || address.is_loopback();
    !is_special && network.broadcast() != Some(address) && network.network().address() != address
}

/// Reads the own address and that of the gateway, which lies in the same network; "none" if there is none.
///
/// # Errors
/// One can't be, which is told.
pub fn parse(address: &str, prefix: u8, gateway: &str) -> Result<(Ipv4Address, Option<Ipv4Address>), String> {
    let is_own = |own: &Ipv4Address| is_host(*own, Ipv4Cidr::new(*own, prefix));
    let own = address.parse().ok().filter(is_own);
    let own = own.ok_or_else(|| {
        format!("the address {address:?} is not that of a single host, with a prefix of {prefix} bits")
    })?;
    if gateway == "none" {
        return Ok((own, None));
    }
    let network = Ipv4Cidr::new(own, prefix);
    let is_near = |other: &Ipv4Address| is_host(*other, network) && network.contains_addr(other) && *other != own;
    let other = gateway.parse().ok().filter(is_near);
    let other =
        other.ok_or_else(|| format!("the gateway {gateway:?} is not that of another host in the network {network}"))?;
    Ok((own, Some(other)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_addresses_of_hosts() {
        let (own, gateway) = (Ipv4Address::new(10, 0, 2, 15), Ipv4Address::new(10, 0, 2, 2));
        assert_eq!(parse("10.0.2.15", 24, "10.0.2.2"), Ok((own, Some(gateway))));
        assert_eq!(parse("10.0.2.15", 24, "none"), Ok((own, None)));
    }

    #[test]
    fn says_which_address_can_not_be() {
        for own in ["", "10.0.2", "0.0.0.0", "127.0.0.1", "224.0.0.1", "255.255.255.255", "10.0.2.255", "10.0.2.0"] {
            let told = parse(own, 24, "none").unwrap_err();
            assert!(told.starts_with(&format!("the address {own:?}")), "{told}");
        }
        for gateway in ["", "10.0.3.2", "10.0.2.15", "10.0.2.255", "10.0.2.0"] {
            let told = parse("10.0.2.15", 24, gateway).unwrap_err();
            assert!(told.starts_with(&format!("the gateway {gateway:?}")) && told.ends_with("10.0.2.15/24"), "{told}");
        }
    }
}
