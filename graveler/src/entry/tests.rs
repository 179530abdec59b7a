//! Entries: known vectors, and the hand-written codec against prost's on the same message.

use proptest::prelude::*;
use prost::Message;

use super::*;

/// The message as prost reads it: an independent reading of the same definition.
#[derive(Clone, PartialEq, Message)]
struct Reference {
    #[prost(string, tag = "1")]
    address: String,
    #[prost(message, optional, tag = "2")]
    last_modified: Option<ReferenceTime>,
    #[prost(int64, tag = "3")]
    size: i64,
    #[prost(string, tag = "4")]
    e_tag: String,
    #[prost(btree_map = "string, string", tag = "5")]
    metadata: BTreeMap<String, String>,
    #[prost(int32, tag = "6")]
    address_type: i32,
    #[prost(string, tag = "7")]
    content_type: String,
}

#[derive(Clone, Copy, PartialEq, Message)]
struct ReferenceTime {
    #[prost(int64, tag = "1")]
    seconds: i64,
    #[prost(int32, tag = "2")]
    nanos: i32,
}

impl From<Reference> for Entry {
    fn from(from: Reference) -> Self {
        Self {
            address: from.address,
            last_modified: from.last_modified.map(|time| Timestamp { seconds: time.seconds, nanos: time.nanos }),
            size: from.size,
            e_tag: from.e_tag,
            metadata: from.metadata,
            address_type: AddressType::from_number(from.address_type),
            content_type: from.content_type,
        }
    }
}

fn entry_a() -> Entry {
    Entry {
        address: "data/gk3l4p7n6f5s73d2k0a0/cvjq2b8k3v5s73d2k0ag".to_owned(),
        last_modified: Some(Timestamp { seconds: 1_700_000_001, nanos: 0 }),
        size: 11,
        e_tag: "5eb63bbbe01eeed093cb22bb8f5acdc3".to_owned(),
        metadata: BTreeMap::new(),
        address_type: AddressType::Relative,
        content_type: "text/plain".to_owned(),
    }
}

fn entry_b() -> Entry {
    Entry {
        address: "s3://other-bucket/import/b2.bin".to_owned(),
        last_modified: Some(Timestamp { seconds: 1_700_000_002, nanos: 500 }),
        size: 0,
        e_tag: "d41d8cd98f00b204e9800998ecf8427e".to_owned(),
        metadata: BTreeMap::from([("k".to_owned(), "v".to_owned())]),
        address_type: AddressType::Full,
        content_type: "application/octet-stream".to_owned(),
    }
}

#[test]
fn the_known_entries_have_the_known_bytes() {
    let known_a = "409e569191ecdc14989d40b9d4cbe2185815db6559d3a686f7381d5726abe61fead4010a2e646174612f676b336c3470376e\
                   36663573373364326b3061302f63766a713262386b33763573373364326b30616712060881e2cfaa06180b22203565623633\
                   62626265303165656564303933636232326262386635616364633330013a0a746578742f706c61696e";
    let known_b = "40e5b2bf2ecc4e08e21d853f7ab4c87713dd49d3debd84e559923bc26d68639950e4010a1f73333a2f2f6f746865722d6275\
                   636b65742f696d706f72742f62322e62696e12090882e2cfaa0610f403222064343164386364393866303062323034653938\
                   303039393865636638343237652a060a016b12017630023a186170706c69636174696f6e2f6f637465742d73747265616d";
    for (entry, known) in [(entry_a(), known_a), (entry_b(), known_b)] {
        let value = entry.to_value();
        assert_eq!(hex::encode(&value), known);
        let decoded = EntryRef::decode(&value).unwrap();
        assert_eq!(decoded.to_owned(), entry);
        assert!(decoded.identity_matches());
    }
}

#[test]
fn fields_of_later_versions_are_ignored_and_wrong_types_refused() {
    let decode = |data: &[u8]| {
        let mut value = Vec::new();
        Value { identity: &[], data }.encode(&mut value);
        EntryRef::decode(&value).map(|entry| entry.to_owned())
    };
    let later = [0x78, 0x05, 0x1d, 1, 2, 3, 4, 0x42, 0x01, 0x00, 0x49, 1, 2, 3, 4, 5, 6, 7, 8];
    assert!(decode(&later).is_err(), "field 3 is an integer, not four bytes");
    assert_eq!(decode(&later[..2]), Ok(Entry::default()));
    assert_eq!(decode(&later[7..]), Ok(Entry::default()));
    assert!(decode(&[0x0a, 0x01, 0xff]).is_err(), "an address that is not UTF-8");
    assert!(decode(&[0x0a, 0x02, 0x61]).is_err(), "an address that is cut short");
    assert!(decode(&[0x2a, 0x02, 0x08, 0x01]).is_err(), "metadata whose key is an integer");
    assert!(decode(&[0x02, 0x00]).is_err(), "field number 0");
    assert_eq!(decode(&[0x30, 0x07]).unwrap().address_type, AddressType::Unknown(7));
}

fn texts() -> impl Strategy<Value = String> {
    prop_oneof![Just(String::new()), "[a-z/%ü漢]{1,40}"]
}

prop_compose! {
    fn entries()(
        (address, e_tag, content_type) in (texts(), texts(), texts()),
        time: Option<(i64, i32)>,
        size: i64,
        metadata in prop::collection::btree_map(texts(), texts(), 0..3),
        kind in -1..5i32,
    ) -> Entry {
        let last_modified = time.map(|(seconds, nanos)| Timestamp { seconds, nanos });
        let address_type = AddressType::from_number(kind);
        Entry { address, last_modified, size, e_tag, metadata, address_type, content_type }
    }
}

proptest! {
    #[test]
    fn the_codec_agrees_with_prost(entry in entries()) {
        let mut data = Vec::new();
        entry.encode(&mut data);
        prop_assert_eq!(Entry::from(Reference::decode(data.as_slice()).unwrap()), entry.clone());
        let value = entry.to_value();
        let decoded = EntryRef::decode(&value).unwrap();
        prop_assert!(decoded.identity_matches());
        prop_assert_eq!(decoded.to_owned(), entry);
    }

    #[test]
    fn what_one_accepts_the_other_does(data in prop::collection::vec(prop_oneof![0..80u8, any::<u8>()], 0..40)) {
        let mut value = Vec::new();
        Value { identity: &[7; 32], data: &data }.encode(&mut value);
        let reference = Reference::decode(data.as_slice()).ok().map(Entry::from);
        match (EntryRef::decode(&value).map(|entry| entry.to_owned()), reference) {
            (Ok(entry), Some(reference)) => prop_assert_eq!(entry, reference),
            // prost takes groups, which no message of lakeFS has ever had.
            (Err(_), _) => {}
            (Ok(entry), None) => prop_assert!(false, "prost refuses {:?}", entry),
        }
    }
}
