//! Where the API listens: `host:port`, as Go's `net.Listen` reads it. Without a host, both families.

use std::io;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};

use socket2::{Domain, Protocol, Socket, Type};
use tokio::net::TcpListener;

/// Connections that the system keeps until they are accepted.
const BACKLOG: i32 = 1024;

/// Opens a listener. A host that is written out decides the family: `0.0.0.0:8008` is IPv4 only, `:8008` is both.
///
/// # Errors
/// What the system says: the address is in use, not of this machine, or its name does not resolve.
pub async fn bind(address: &str) -> io::Result<TcpListener> {
    if let Some(port) = address.strip_prefix(':').and_then(|port| port.parse::<u16>().ok()) {
        // Where IPv6 is switched off there is one family.
        return both_families(port).or_else(|error| match error.kind() {
            io::ErrorKind::AddrInUse | io::ErrorKind::PermissionDenied => Err(error),
            _ => one_family((Ipv4Addr::UNSPECIFIED, port).into()),
        });
    }
    let mut last = io::Error::new(io::ErrorKind::AddrNotAvailable, "the name has no address");
    for resolved in tokio::net::lookup_host(address).await? {
        match one_family(resolved) {
            Ok(listener) => return Ok(listener),
            Err(error) => last = error,
        }
    }
    Err(last)
}

fn both_families(port: u16) -> io::Result<TcpListener> {
    let socket = Socket::new(Domain::IPV6, Type::STREAM, Some(Protocol::TCP))?;
    socket.set_only_v6(false)?;
    listen(socket, (Ipv6Addr::UNSPECIFIED, port).into())
}

fn one_family(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
    if address.is_ipv6() {
        socket.set_only_v6(true)?;
    }
    listen(socket, address)
}

fn listen(socket: Socket, address: SocketAddr) -> io::Result<TcpListener> {
    socket.set_reuse_address(true)?;
    socket.set_nonblocking(true)?;
    socket.bind(&address.into())?;
    socket.listen(BACKLOG)?;
    TcpListener::from_std(socket.into())
}

#[cfg(test)]
mod tests {
    use std::net::IpAddr;

    use tokio::net::TcpStream;

    use super::*;

    /// Whether something answers at the port, by IPv4 and by IPv6.
    async fn families(listener: &TcpListener) -> (bool, bool) {
        let port = listener.local_addr().unwrap().port();
        let reached = async |host: IpAddr| TcpStream::connect((host, port)).await.is_ok();
        (reached(Ipv4Addr::LOCALHOST.into()).await, reached(Ipv6Addr::LOCALHOST.into()).await)
    }

    #[tokio::test]
    async fn without_a_host_both_families_are_served_and_a_host_is_obeyed() {
        // A machine without IPv6 has one family, whatever is asked for.
        let ipv6 = std::net::TcpListener::bind((Ipv6Addr::LOCALHOST, 0)).is_ok();
        assert_eq!(families(&bind(":0").await.unwrap()).await, (true, ipv6));
        assert_eq!(families(&bind("0.0.0.0:0").await.unwrap()).await, (true, false));
        assert_eq!(families(&bind("127.0.0.1:0").await.unwrap()).await, (true, false));
        if ipv6 {
            assert_eq!(families(&bind("[::1]:0").await.unwrap()).await, (false, true));
        }
        let taken = bind(":0").await.unwrap();
        let again = bind(&format!(":{}", taken.local_addr().unwrap().port())).await;
        assert_eq!(again.unwrap_err().kind(), io::ErrorKind::AddrInUse);
    }
}
