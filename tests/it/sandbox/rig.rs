//! A sandbox with one zone, the real SDK pointed at it with retries off, and a bare DNS client.

use std::net::SocketAddr;
use std::time::Duration;

use aws_sdk_route53::Client;
use aws_sdk_route53::config::retry::RetryConfig;
use aws_sdk_route53::config::timeout::TimeoutConfig;
use aws_sdk_route53::config::{BehaviorVersion, Credentials, Region};
use aws_sdk_route53::error::{ProvideErrorMetadata, SdkError};
use aws_sdk_route53::operation::change_resource_record_sets::ChangeResourceRecordSetsError;
use aws_sdk_route53::types::{
    Change, ChangeAction, ChangeBatch, ChangeInfo, ResourceRecord, ResourceRecordSet, RrType,
};
use failoverd::sandbox::{Sandbox, SandboxConfig, start};
use hickory_proto::op::{Edns, Message, MessageType, OpCode, Query};
use hickory_proto::rr::{Name, RecordType};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpStream, UdpSocket};

pub const WAIT: Duration = Duration::from_secs(5);

pub struct Rig {
    pub sandbox: Sandbox,
    pub client: Client,
    pub zone: String,
}

pub async fn rig() -> Rig {
    rig_with(SandboxConfig { pending: Duration::from_millis(200), ..SandboxConfig::default() }).await
}

pub async fn rig_with(config: SandboxConfig) -> Rig {
    let sandbox = start(SandboxConfig { zones: vec!["example.com".into()], ..config }).await.unwrap();
    let client = client(&sandbox.api_url(), Duration::from_secs(10));
    let zone = sandbox.zone_id("example.com").unwrap();
    Rig { sandbox, client, zone }
}

pub fn client(url: &str, timeout: Duration) -> Client {
    client_as("any", url, timeout)
}

/// With an access key of its own.
pub fn client_as(key: &str, url: &str, timeout: Duration) -> Client {
    let http = aws_smithy_http_client::Builder::new().build_http();
    let config = aws_sdk_route53::Config::builder()
        .behavior_version(BehaviorVersion::latest())
        .region(Region::new("us-east-1"))
        .credentials_provider(Credentials::new(key, "any", None, None, "test"))
        .endpoint_url(url)
        .retry_config(RetryConfig::disabled())
        .timeout_config(TimeoutConfig::builder().operation_timeout(timeout).build())
        .http_client(http)
        .build();
    Client::from_conf(config)
}

/// `NAME TTL TYPE VALUE,VALUE`.
pub fn set(text: &str) -> ResourceRecordSet {
    let fields: Vec<&str> = text.splitn(4, ' ').collect();
    let record = |value: &str| ResourceRecord::builder().value(value).build().unwrap();
    ResourceRecordSet::builder()
        .name(fields[0])
        .ttl(fields[1].parse().unwrap())
        .r#type(RrType::from(fields[2]))
        .set_resource_records(Some(fields[3].split(',').map(record).collect()))
        .build()
        .unwrap()
}

pub fn change(action: ChangeAction, set: ResourceRecordSet) -> Change {
    Change::builder().action(action).resource_record_set(set).build().unwrap()
}

/// One change a line: `ACTION NAME TTL TYPE VALUES`, lines separated by `;`.
pub fn batch(text: &str) -> ChangeBatch {
    let changes = text.split(';').map(|line| {
        let (action, rest) = line.trim().split_once(' ').unwrap();
        change(ChangeAction::from(action), set(rest))
    });
    ChangeBatch::builder().comment("by a test").set_changes(Some(changes.collect())).build().unwrap()
}

pub type Refused = SdkError<ChangeResourceRecordSetsError>;

impl Rig {
    pub async fn send(&self, text: &str) -> Result<ChangeInfo, Refused> {
        self.send_batch(batch(text)).await
    }

    pub async fn send_batch(&self, batch: ChangeBatch) -> Result<ChangeInfo, Refused> {
        let call = self.client.change_resource_record_sets().hosted_zone_id(&self.zone).change_batch(batch);
        Ok(call.send().await?.change_info.unwrap())
    }

    /// `NAME TTL TYPE VALUES` of every set but the apex SOA and NS, as listed.
    pub async fn listed(&self) -> Vec<String> {
        let page = self.client.list_resource_record_sets().hosted_zone_id(&self.zone).send().await.unwrap();
        let sets = page.resource_record_sets.into_iter().filter(|set| !["SOA", "NS"].contains(&set.r#type.as_str()));
        sets.map(|set| {
            let values: Vec<String> =
                set.resource_records.unwrap_or_default().into_iter().map(|record| record.value).collect();
            format!("{} {} {} {}", set.name, set.ttl.unwrap_or(0), set.r#type.as_str(), values.join(","))
        })
        .collect()
    }

    pub async fn status(&self, id: &str) -> Result<String, String> {
        match self.client.get_change().id(id).send().await {
            Ok(answer) => Ok(answer.change_info.unwrap().status.as_str().to_owned()),
            Err(error) => Err(error.code().unwrap_or("no code").to_owned()),
        }
    }

    pub async fn ask(&self, name: &str, rtype: RecordType) -> Message {
        ask(self.sandbox.dns_addr(), name, rtype).await.expect("the name server answers")
    }

    /// The values of the answer section, sorted.
    pub async fn answers(&self, name: &str, rtype: RecordType) -> Vec<String> {
        let message = self.ask(name, rtype).await;
        let mut values: Vec<String> = message.answers.iter().map(|record| record.data.to_string()).collect();
        values.sort();
        values
    }
}

pub fn question(name: &str, rtype: RecordType, edns: bool) -> Vec<u8> {
    let mut message = Message::new(4242, MessageType::Query, OpCode::Query);
    message.add_query(Query::query(Name::from_ascii(name).unwrap(), rtype));
    if edns {
        let mut edns = Edns::new();
        edns.set_max_payload(1232);
        message.edns = Some(edns);
    }
    message.to_vec().unwrap()
}

/// One question over UDP without EDNS; `None` when nothing answers in 300 ms.
pub async fn ask(server: SocketAddr, name: &str, rtype: RecordType) -> Option<Message> {
    let socket = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    socket.connect(server).await.unwrap();
    socket.send(&question(name, rtype, false)).await.unwrap();
    let mut buffer = [0; 4096];
    let read = tokio::time::timeout(Duration::from_millis(300), socket.recv(&mut buffer)).await.ok()?.ok()?;
    Message::from_vec(&buffer[..read]).ok()
}

pub async fn ask_tcp(server: SocketAddr, name: &str, rtype: RecordType) -> Message {
    let mut stream = TcpStream::connect(server).await.unwrap();
    let question = question(name, rtype, true);
    stream.write_all(&u16::try_from(question.len()).unwrap().to_be_bytes()).await.unwrap();
    stream.write_all(&question).await.unwrap();
    let length = usize::from(stream.read_u16().await.unwrap());
    let mut buffer = vec![0; length];
    stream.read_exact(&mut buffer).await.unwrap();
    Message::from_vec(&buffer).unwrap()
}

/// Polls until `check` holds.
pub async fn until<F: AsyncFnMut() -> bool>(what: &str, mut check: F) {
    let polling = async {
        while !check().await {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(WAIT, polling).await.unwrap_or_else(|_| panic!("never: {what}"));
}
