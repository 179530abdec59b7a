//! Commit ids: lakeFS's own constants and the synthetic vectors. Real commits are in `graveler::tests`.

use std::collections::BTreeMap;

use lakemirror_core::ids::MetarangeId;

use super::*;

fn commit(committer: &str, message: &str, date: i64) -> CommitRecord {
    CommitRecord {
        id: CommitId([0; 32]),
        parents: Vec::new(),
        committer: committer.to_owned(),
        message: message.to_owned(),
        creation_date: date,
        metarange: None,
        metadata: BTreeMap::new(),
        generation: 1,
        version: 1,
    }
}

#[test]
fn ids_are_those_of_lakefs() {
    let first = commit("", "Repository created", 1_700_000_000);
    let first_id = commit_id(&first);
    assert_eq!(first_id.to_string(), "e7720703b5e19f0c37c665b0bf14fc291522d882cd951d854edb8b1f1c33689d");

    let mut second = commit("alice", "first", 1_700_000_010);
    let metarange = "5ed0152916402b8493d2a55fbd81c4388f8e714b48d7d27082dd5d3bc5919c49";
    second.metarange = Some(MetarangeId::parse(metarange).unwrap());
    second.metadata.insert("k".to_owned(), "v".to_owned());
    second.parents = vec![first_id];
    let known = "4a11e474e2b28f291f5efd02d743ae15d8ca911659815c438c079de61baa38d7";
    assert_eq!(commit_id(&second).to_string(), known);

    second.version = 0;
    second.generation = 9;
    assert_eq!(commit_id(&second).to_string(), known, "version and generation are not hashed");
    second.parents.push(first_id);
    assert_ne!(commit_id(&second).to_string(), known);
}

/// The constant in lakeFS's own test has ids that are no digests, so only the encoders can be held against it.
#[test]
fn the_recipe_reproduces_the_constant_in_lakefs_tests() {
    let mut parents = Sha256::new();
    ident::slice(&mut parents, ["parent1", "parent2"].into_iter());
    let mut hash = Sha256::new();
    for text in ["commit:v1", "Committer", "message", "metarangeId"] {
        ident::string(&mut hash, text.as_bytes());
    }
    ident::int64(&mut hash, 1_000_000_000);
    ident::map(&mut hash, [(&b"key"[..], &b"value"[..])].into_iter());
    ident::embed(&mut hash, &parents.finalize().into());
    let known = "0c5f9d6fde638a6aa82840caf2485bdbe6ad0fc3f220ea88884df9ed99d7cf19";
    assert_eq!(hex::encode(hash.finalize()), known);
}
