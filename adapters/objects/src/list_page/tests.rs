//! Pages as stores write them, and what may not be taken for one.

use proptest::prelude::*;

use super::*;

const AWS: &str = "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<ListBucketResult xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\">\
<Name>b</Name><Prefix>data/</Prefix><StartAfter>data/%21</StartAfter><KeyCount>2</KeyCount><MaxKeys>1000</MaxKeys>\
<EncodingType>url</EncodingType><IsTruncated>true</IsTruncated>\
<Contents><Key>data/a%2Bb+c%26</Key><LastModified>2026-01-01T00:00:00.000Z</LastModified>\
<ETag>&quot;d41d8cd98f00b204e9800998ecf8427e&quot;</ETag><ChecksumAlgorithm>CRC64NVME</ChecksumAlgorithm>\
<Size>0</Size><StorageClass>STANDARD</StorageClass></Contents>\
<Contents><Key>data/b</Key><Size>18446744073709551615</Size><Owner><ID>x</ID></Owner></Contents>\
</ListBucketResult>";

fn keys(body: &str) -> Result<Vec<(String, u64)>, ListPageError> {
    scan(body.as_bytes()).map(|page| page.iter().map(|(key, size)| (key.to_owned(), size)).collect())
}

fn around(inner: &str) -> String {
    format!("<ListBucketResult>{inner}</ListBucketResult>")
}

#[test]
fn a_page_of_aws_is_read() {
    let page = scan(AWS.as_bytes()).unwrap();
    assert!(page.more);
    assert_eq!(page.iter().collect::<Vec<_>>(), [("data/a+b c&", 0), ("data/b", u64::MAX)]);
}

#[test]
fn is_truncated_may_stand_behind_the_entries_and_blanks_between() {
    let body = around(
        "\n  <Contents>\n <Size> 7 </Size> <Key>a</Key>\n</Contents>\n <Contents><Key>b</Key><Size>1</Size></Contents>\
         \n<IsTruncated>false</IsTruncated>\n",
    );
    let page = scan(body.as_bytes()).unwrap();
    assert!(!page.more);
    assert_eq!(page.iter().collect::<Vec<_>>(), [("a", 7), ("b", 1)]);
}

#[test]
fn an_empty_page_is_a_page() {
    assert_eq!(keys(&around("<Name>b</Name><IsTruncated>false</IsTruncated>")), Ok(vec![]));
}

#[test]
fn escapes_are_undone_and_percents_only_where_the_answer_says_so() {
    let entry = "<IsTruncated>false</IsTruncated><Contents><Key>&lt;a&gt;&amp;&quot;&apos;&#233;&#xE9;%41+</Key><Size>1</Size></Contents>";
    assert_eq!(keys(&around(entry)), Ok(vec![("<a>&\"'éé%41+".to_owned(), 1)]));
    let encoded = format!("<EncodingType>url</EncodingType>{entry}");
    assert_eq!(keys(&around(&encoded)), Ok(vec![("<a>&\"'ééA ".to_owned(), 1)]));
}

#[test]
fn every_cut_is_an_error() {
    for length in 0..AWS.len() {
        let cut = AWS.as_bytes().get(..length).unwrap();
        assert!(scan(cut).is_err(), "cut at {length}");
    }
    let cut = AWS.as_bytes().get(..AWS.len() - 1).unwrap();
    assert_eq!(scan(cut), Err(ListPageError::CutShort { length: AWS.len() - 1 }));
}

#[test]
fn what_is_no_listing_is_said_to_be_none() {
    let error = "<?xml version=\"1.0\"?><Error><Code>InternalError</Code><Message>m</Message></Error>";
    assert_eq!(keys(error), Err(ListPageError::StoreError { code: "InternalError".into() }));
    assert_eq!(keys("<html><body>hello</body></html>"), Err(ListPageError::NotAListing));
    assert_eq!(keys("{}"), Err(ListPageError::NotAListing));
    assert_eq!(keys(""), Err(ListPageError::CutShort { length: 0 }));
}

#[test]
fn nothing_is_skipped_in_silence() {
    let whole = "<IsTruncated>false</IsTruncated>";
    for inner in [
        "<Contents><Key>a</Key><Size>1</Size></Contents>",
        "<IsTruncated>maybe</IsTruncated>",
        &format!("{whole}<Contents><Key>a</Key></Contents>"),
        &format!("{whole}<Contents><Size>1</Size></Contents>"),
        &format!("{whole}<Contents><Key>a</Key><Size>-1</Size></Contents>"),
        &format!("{whole}<Contents><Key>a</Key><Size>18446744073709551616</Size></Contents>"),
        &format!("{whole}<Contents><Key>a<b/></Key><Size>1</Size></Contents>"),
        &format!("{whole}<Contents><Key>a&nbsp;</Key><Size>1</Size></Contents>"),
        &format!("{whole}<Contents><Key>a&amp</Key><Size>1</Size></Contents>"),
        &format!("{whole}<Contents><Key>a</Key><Size>1</Size>"),
        &format!(
            "{whole}<Contents><Key>a</Key><Size>1</Size></Contents><X/><Contents><Key>b</Key><Size>1</Size></Contents>"
        ),
        &format!("{whole}<EncodingType>rot13</EncodingType><Contents><Key>a</Key><Size>1</Size></Contents>"),
        &format!("{whole}<EncodingType>url</EncodingType><Contents><Key>%ff</Key><Size>1</Size></Contents>"),
    ] {
        assert!(matches!(keys(&around(inner)), Err(ListPageError::Malformed { .. })), "{inner}");
    }
}

fn escape(key: &str) -> String {
    key.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn what_is_written_is_read(entries in prop::collection::vec(("\\PC{0,12}", any::<u64>()), 0..20), url in any::<bool>()) {
        let mut body = String::from("<IsTruncated>false</IsTruncated>");
        if url {
            body.push_str("<EncodingType>url</EncodingType>");
        }
        for (key, size) in &entries {
            let key = if url {
                percent_encoding::utf8_percent_encode(key, percent_encoding::NON_ALPHANUMERIC).to_string()
            } else {
                escape(key)
            };
            body.push_str(&format!("<Contents><Key>{key}</Key><Size>{size}</Size></Contents>"));
        }
        prop_assert_eq!(keys(&around(&body)), Ok(entries));
    }

    #[test]
    fn anything_is_a_page_or_an_error(body in prop::collection::vec(any::<u8>(), 0..200)) {
        let _ = scan(&body);
    }

    #[test]
    fn a_damaged_page_is_never_longer(at in 0..AWS.len(), byte in any::<u8>()) {
        let mut body = AWS.as_bytes().to_vec();
        body[at] = byte;
        if let Ok(page) = scan(&body) {
            prop_assert_eq!(page.len(), 2);
        }
    }
}

#[test]
fn what_may_have_to_be_restored_is_marked() {
    let entry = |key: &str, class: &str| {
        format!("<Contents><Key>{key}</Key><Size>1</Size><StorageClass>{class}</StorageClass></Contents>")
    };
    let classes = ["STANDARD", "GLACIER", "GLACIER_IR", "DEEP_ARCHIVE", "INTELLIGENT_TIERING", "STANDARD_IA"];
    let entries: String = classes.iter().zip('a'..).map(|(class, key)| entry(&key.to_string(), class)).collect();
    let page = scan(around(&format!("<IsTruncated>false</IsTruncated>{entries}")).as_bytes()).unwrap();
    let cold: Vec<&str> = page.iter_cold().filter(|(_, _, cold)| *cold).map(|(key, ..)| key).collect();
    assert_eq!(cold, ["b", "d", "e"]);
}
