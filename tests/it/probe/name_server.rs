//! A recursive name server on loopback that says what a test tells it, and counts what it is asked.

use std::collections::HashMap;
use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, Mutex};

use hickory_proto::op::{Message, OpCode, ResponseCode};
use hickory_proto::rr::rdata::{CNAME, SOA};
use hickory_proto::rr::{Name, RData, Record, RecordType};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, UdpSocket};

/// What is said to a question for one family of one name.
#[derive(Clone, Debug)]
pub enum Says {
    /// Those of the family that was asked for; none of them: NODATA.
    Is(Vec<IpAddr>),
    /// The same, but cut off over UDP.
    OverTcp(Vec<IpAddr>),
    Alias(&'static str),
    NxDomain,
    NoData,
    /// Neither an answer nor a denial.
    NoSoa,
    Error(ResponseCode),
    Silence,
}

pub fn is(list: &[&str]) -> Says {
    Says::Is(list.iter().map(|ip| ip.parse().unwrap()).collect())
}

#[derive(Clone)]
pub struct NameServer {
    pub addr: SocketAddr,
    zone: Arc<Mutex<Zone>>,
}

#[derive(Default)]
struct Zone {
    says: HashMap<(String, RecordType), Says>,
    asked: Vec<(String, RecordType)>,
}

impl NameServer {
    /// Knows no name: NXDOMAIN.
    pub async fn start() -> NameServer {
        let (udp, tcp) = loop {
            let udp = UdpSocket::bind("127.0.0.1:0").await.unwrap();
            if let Ok(tcp) = TcpListener::bind(udp.local_addr().unwrap()).await {
                break (udp, tcp);
            }
        };
        let server = NameServer { addr: udp.local_addr().unwrap(), zone: Arc::default() };
        let here = server.clone();
        tokio::spawn(async move {
            let mut buffer = [0; 4096];
            while let Ok((length, from)) = udp.recv_from(&mut buffer).await {
                if let Some(reply) = here.reply(&buffer[..length], false) {
                    udp.send_to(&reply, from).await.unwrap();
                }
            }
        });
        let here = server.clone();
        tokio::spawn(async move {
            while let Ok((mut stream, _)) = tcp.accept().await {
                let here = here.clone();
                tokio::spawn(async move {
                    while let Ok(length) = stream.read_u16().await {
                        let mut packet = vec![0; usize::from(length)];
                        stream.read_exact(&mut packet).await.unwrap();
                        let Some(reply) = here.reply(&packet, true) else { continue };
                        stream.write_u16(u16::try_from(reply.len()).unwrap()).await.unwrap();
                        stream.write_all(&reply).await.unwrap();
                    }
                });
            }
        });
        server
    }

    /// From now on to questions for both families of `name`.
    pub fn say(&self, name: &str, says: Says) {
        for rtype in [RecordType::A, RecordType::AAAA] {
            self.say_of(name, rtype, says.clone());
        }
    }

    pub fn say_of(&self, name: &str, rtype: RecordType, says: Says) {
        self.zone.lock().unwrap().says.insert((name.into(), rtype), says);
    }

    /// Questions for one family of `name` that came so far.
    pub fn asked(&self, name: &str, rtype: RecordType) -> usize {
        self.zone.lock().unwrap().asked.iter().filter(|asked| **asked == (name.to_owned(), rtype)).count()
    }

    fn reply(&self, packet: &[u8], over_tcp: bool) -> Option<Vec<u8>> {
        let query = Message::from_vec(packet).unwrap();
        let asked = query.queries[0].clone();
        let (owner, rtype) = (asked.name().clone(), asked.query_type());
        let name = owner.to_ascii().trim_end_matches('.').to_lowercase();
        let says = {
            let mut zone = self.zone.lock().unwrap();
            zone.asked.push((name.clone(), rtype));
            zone.says.get(&(name, rtype)).cloned().unwrap_or(Says::NxDomain)
        };
        let mut reply = Message::response(query.metadata.id, OpCode::Query);
        reply.metadata.recursion_available = true;
        reply.queries = query.queries.clone();
        let root = Name::root();
        let denial =
            Record::from_rdata(root.clone(), 300, RData::SOA(SOA::new(root.clone(), root, 1, 60, 60, 60, 300)));
        match says {
            Says::Silence => return None,
            Says::NoSoa => {}
            Says::NoData => _ = reply.add_authority(denial),
            Says::NxDomain => {
                reply.metadata.response_code = ResponseCode::NXDomain;
                reply.add_authority(denial);
            }
            Says::Error(code) => reply.metadata.response_code = code,
            Says::OverTcp(_) if !over_tcp => reply.metadata.truncation = true,
            Says::Is(list) | Says::OverTcp(list) => {
                // An hour: whoever keeps it, keeps it too long.
                let of_family = list.into_iter().filter(|ip| ip.is_ipv4() == (rtype == RecordType::A));
                reply.add_answers(of_family.map(|ip| Record::from_rdata(owner.clone(), 3600, RData::from(ip))));
                if reply.answers.is_empty() {
                    reply.add_authority(denial);
                }
            }
            Says::Alias(to) => {
                let to = Name::from_ascii(format!("{to}.")).unwrap();
                reply.add_answer(Record::from_rdata(owner, 3600, RData::CNAME(CNAME(to))));
            }
        }
        Some(reply.to_vec().unwrap())
    }
}
