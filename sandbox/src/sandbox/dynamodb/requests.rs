//! The operations: what a request may contain, its validation, and the response with the change that it needs.
//!
//! [`perform`] does not change anything itself: its caller logs the change, applies it, and then responds. An unknown
//! field is refused, since ignoring it could mean something else than was requested.

use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::json;

use super::expression::{self, Term};
use super::failure::Failure;
use super::tables::{Change, Definition, Range, Table, Tables};
use super::value::{Attributes, Value, size};

/// DynamoDB's limit for an item, including its attribute names.
const ITEM_BYTES_MAX: usize = 400 << 10;
/// Items of one page if the request sets no limit: more than 1 MB can hold.
const PAGE_ITEMS_MAX: usize = 1 << 20;

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
struct DescribeTable {
    table_name: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
struct GetItem {
    table_name: String,
    key: Attributes,
    /// There is one copy, so every read is consistent.
    #[serde(default, rename = "ConsistentRead")]
    _consistent_read: bool,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
struct PutItem {
    table_name: String,
    item: Attributes,
    condition_expression: Option<String>,
    expression_attribute_values: Option<Attributes>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
struct DeleteItem {
    table_name: String,
    key: Attributes,
    condition_expression: Option<String>,
    expression_attribute_values: Option<Attributes>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
struct Query {
    table_name: String,
    key_condition_expression: String,
    #[serde(default)]
    expression_attribute_values: Attributes,
    #[serde(default, rename = "ConsistentRead")]
    _consistent_read: bool,
    limit: Option<i64>,
    exclusive_start_key: Option<Attributes>,
}

type Answer = Result<(serde_json::Value, Option<Change>), Failure>;

/// Validates one operation at this second since 1970.
pub(super) fn perform(tables: &Tables, operation: &str, body: &[u8], now: u64) -> Answer {
    match operation {
        "DescribeTable" => {
            let asked: DescribeTable = read(operation, body)?;
            Ok((json!({"Table": tables.table(&asked.table_name)?.describe()}), None))
        }
        "CreateTable" => create_table(tables, read(operation, body)?, now),
        "GetItem" => get_item(tables, &read(operation, body)?),
        "PutItem" => put_item(tables, read(operation, body)?),
        "DeleteItem" => delete_item(tables, read(operation, body)?),
        "Query" => query(tables, read(operation, body)?),
        _ => Err(Failure::invalid(format!(
            "this sandbox has no {operation:.40}; it has DescribeTable, CreateTable, GetItem, PutItem, DeleteItem and Query"
        ))),
    }
}

fn read<T: DeserializeOwned>(operation: &str, body: &[u8]) -> Result<T, Failure> {
    serde_json::from_slice(body).map_err(|error| match error.classify() {
        serde_json::error::Category::Data => {
            Failure::invalid(format!("this sandbox does not take such a {operation}: {error}"))
        }
        _ => Failure::no_json(),
    })
}

fn create_table(tables: &Tables, definition: Definition, now: u64) -> Answer {
    let table = Table::new(definition.clone(), now)?;
    if tables.table(&definition.table_name).is_ok() {
        return Err(Failure::table_exists(&definition.table_name));
    }
    Ok((json!({"TableDescription": table.describe()}), Some(Change::Create { definition, created: now })))
}

fn get_item(tables: &Tables, asked: &GetItem) -> Answer {
    let table = tables.table(&asked.table_name)?;
    let answer = match table.get(&table.address_of_key(&asked.key)?) {
        Some(item) => json!({"Item": item}),
        None => json!({}),
    };
    Ok((answer, None))
}

fn put_item(tables: &Tables, asked: PutItem) -> Answer {
    let terms = condition(asked.condition_expression.as_deref(), asked.expression_attribute_values.as_ref())?;
    let table = tables.table(&asked.table_name)?;
    let address = table.address(&asked.item)?;
    if size(&asked.item) > ITEM_BYTES_MAX {
        return Err(Failure::invalid("Item size has exceeded the maximum allowed size"));
    }
    if !expression::holds(&terms, table.get(&address)) {
        return Err(Failure::condition());
    }
    Ok((json!({}), Some(Change::Put { table: asked.table_name, item: asked.item })))
}

fn delete_item(tables: &Tables, asked: DeleteItem) -> Answer {
    let terms = condition(asked.condition_expression.as_deref(), asked.expression_attribute_values.as_ref())?;
    let table = tables.table(&asked.table_name)?;
    let found = table.get(&table.address_of_key(&asked.key)?);
    if !expression::holds(&terms, found) {
        return Err(Failure::condition());
    }
    Ok((json!({}), found.map(|_| Change::Delete { table: asked.table_name, key: asked.key })))
}

/// The terms of a condition; none if there is no condition.
fn condition(text: Option<&str>, values: Option<&Attributes>) -> Result<Vec<Term>, Failure> {
    match (text, values) {
        (None, None) => Ok(Vec::new()),
        (None, Some(_)) => Err(Failure::invalid(
            "ExpressionAttributeValues can only be specified when using expressions: ConditionExpression is null",
        )),
        (Some(_), Some(values)) if values.is_empty() => {
            Err(Failure::invalid("ExpressionAttributeValues must not be empty"))
        }
        (Some(text), values) => expression::parse("ConditionExpression", text, values.unwrap_or(&Attributes::new())),
    }
}

fn query(tables: &Tables, asked: Query) -> Answer {
    let Query { table_name, key_condition_expression: text, expression_attribute_values: values, .. } = asked;
    let terms = expression::parse("KeyConditionExpression", &text, &values)?;
    let limit = match asked.limit {
        None => PAGE_ITEMS_MAX,
        Some(limit) => usize::try_from(limit).ok().filter(|limit| *limit >= 1).ok_or_else(|| {
            Failure::invalid(format!(
                "1 validation error detected: Value '{limit}' at 'limit' failed to satisfy constraint: Member must have value greater than or equal to 1"
            ))
        })?,
    };
    let table = tables.table(&table_name)?;
    let range = range(table, &terms)?;
    let after = asked.exclusive_start_key.as_ref().map(|key| {
        let invalid = |_| {
            Failure::invalid("The provided starting key is invalid: The provided key element does not match the schema")
        };
        let after = table.address_of_key(key).map_err(invalid)?;
        match range.has(&after) {
            true => Ok(after),
            false => {
                let message = "The provided starting key is outside query boundaries based on provided conditions";
                Err(Failure::invalid(message))
            }
        }
    });
    let (items, last) = table.page(&range, after.transpose()?, limit);
    let mut answer = json!({"Count": items.len(), "ScannedCount": items.len(), "Items": items});
    if let (Some(last), Some(fields)) = (last, answer.as_object_mut()) {
        fields.insert("LastEvaluatedKey".to_owned(), json!(last));
    }
    Ok((answer, None))
}

/// The range of a key condition: the hash key equals a value, and the range key equals or begins with one.
fn range(table: &Table, terms: &[Term]) -> Result<Range, Failure> {
    let unsupported = || Failure::invalid("Query key condition not supported");
    let mut hash = None;
    let mut range: Option<(Vec<u8>, bool)> = None;
    let operand = |part: &super::tables::Part, value: &Value| match part.bytes(value) {
        Ok([]) => Err(Failure::invalid(format!(
            "One or more parameter values are not valid. The AttributeValue for a key attribute cannot contain an empty value. Key: {}",
            part.name
        ))),
        Ok(bytes) => Ok(bytes.to_vec()),
        Err(_) => Err(Failure::invalid(
            "One or more parameter values were invalid: Condition parameter type does not match schema type",
        )),
    };
    for term in terms {
        match (term, &table.range) {
            (Term::Equals(name, value), _) if *name == table.hash.name && hash.is_none() => {
                hash = Some(operand(&table.hash, value)?);
            }
            (Term::Equals(name, value), Some(part)) if *name == part.name && range.is_none() => {
                range = Some((operand(part, value)?, true));
            }
            (Term::BeginsWith(name, value), Some(part)) if *name == part.name && range.is_none() => {
                range = Some((operand(part, value)?, false));
            }
            _ => return Err(unsupported()),
        }
    }
    let (bytes, equal) = range.unwrap_or_default();
    Ok(Range { hash: hash.ok_or_else(unsupported)?, range: bytes, equal })
}
