//! The real SDK against a canned server on loopback: what is sent, and how every answer is read.

mod canned;
mod environment;
mod reading;
mod writing;

use super::*;
use crate::dns::ZoneWriter;
use crate::domain::{RecordName, ZoneId};
use crate::engine::zone::{Change, ChangeOp, Data, RefusedCode, WriteAnswer};
use canned::{Canned, Reply};

async fn connection_to(url: &str) -> Connection {
    let short = Duration::from_millis(700);
    let timeouts = Timeouts { connect: short, read: short, write: short };
    let settings =
        Settings { endpoint_url: Some(url.into()), placeholder_credentials: true, timeouts, ..Settings::default() };
    connect(&settings).await.unwrap()
}

fn wrapped(code: &str, message: &str) -> String {
    format!(
        "<?xml version=\"1.0\"?><ErrorResponse xmlns=\"https://route53.amazonaws.com/doc/2013-04-01/\"><Error>\
         <Type>Sender</Type><Code>{code}</Code><Message>{message}</Message></Error><RequestId>r</RequestId></ErrorResponse>"
    )
}

fn name(text: &str) -> RecordName {
    RecordName::new(text).unwrap()
}

fn one_change() -> Vec<Change> {
    vec![Change {
        op: ChangeOp::Create,
        name: name("www._failoverd.example.com"),
        rtype: "TXT".into(),
        data: Data::Values { ttl: 60, values: vec!["\"v=1 e=42 a=<&>\"".into()] },
    }]
}

async fn write(connection: &Connection) -> WriteAnswer {
    connection.clone().into_parts().1.change(&ZoneId::new("/hostedzone/Z1"), &one_change(), "web e=42").await
}
