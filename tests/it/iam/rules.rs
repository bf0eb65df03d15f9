//! IAM's evaluation of one identity policy: explicit Deny wins, an Allow must match action, resource and every
//! condition. Refuses to guess: an element or an operator it does not know is an error, never "allowed" or "denied".

use std::collections::BTreeMap;

use serde_json::Value;

/// What IAM sees of a request. Keys are in lower case; each has all its values.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Asked {
    pub action: String,
    pub resource: String,
    pub keys: BTreeMap<String, Vec<String>>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Verdict {
    pub allowed: bool,
    /// Sids of the statements that decided; empty when none matched.
    pub by: Vec<String>,
}

#[derive(Clone, Debug)]
pub struct Policy {
    statements: Vec<Statement>,
}

#[derive(Clone, Debug)]
struct Statement {
    sid: String,
    deny: bool,
    actions: Vec<String>,
    resources: Vec<String>,
    conditions: Vec<Condition>,
}

#[derive(Clone, Debug)]
struct Condition {
    quantifier: Option<Quantifier>,
    test: Test,
    key: String,
    wanted: Vec<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Quantifier {
    All,
    Any,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Test {
    Null,
    Text { like: bool, fold: bool, negated: bool },
}

impl Policy {
    /// Reads a policy document; everything that the evaluation would have to ignore is an error.
    pub fn parse(text: &str) -> Result<Policy, String> {
        let document: Value = serde_json::from_str(text).map_err(|e| e.to_string())?;
        if document["Version"] != "2012-10-17" {
            return Err("Version is not 2012-10-17".into());
        }
        let statements = list(&document["Statement"]).iter().map(statement).collect::<Result<_, _>>()?;
        Ok(Policy { statements })
    }

    pub fn sids(&self) -> impl Iterator<Item = &str> {
        self.statements.iter().map(|s| s.sid.as_str())
    }

    pub fn decide(&self, asked: &Asked) -> Result<Verdict, String> {
        let mut matching = Vec::new();
        for statement in &self.statements {
            if statement.matches(asked)? {
                matching.push(statement);
            }
        }
        let denied = matching.iter().any(|s| s.deny);
        let by = matching.iter().filter(|s| s.deny == denied).map(|s| s.sid.clone()).collect();
        Ok(Verdict { allowed: !denied && !matching.is_empty(), by })
    }
}

fn list(value: &Value) -> Vec<Value> {
    match value {
        Value::Array(values) => values.clone(),
        Value::Null => Vec::new(),
        one => vec![one.clone()],
    }
}

fn texts(value: &Value) -> Result<Vec<String>, String> {
    let text = |v: &Value| v.as_str().map(String::from).ok_or(format!("{v} is no text"));
    list(value).iter().map(text).collect()
}

fn statement(value: &Value) -> Result<Statement, String> {
    let fields = value.as_object().ok_or("a statement is no object")?;
    if let Some(odd) =
        fields.keys().find(|k| !["Sid", "Effect", "Action", "Resource", "Condition"].contains(&k.as_str()))
    {
        return Err(format!("the evaluator does not know the element {odd}"));
    }
    let deny = match value["Effect"].as_str() {
        Some("Allow") => false,
        Some("Deny") => true,
        other => return Err(format!("Effect is {other:?}")),
    };
    let (actions, resources) = (texts(&value["Action"])?, texts(&value["Resource"])?);
    if actions.is_empty() || resources.is_empty() {
        return Err("a statement without Action or Resource".into());
    }
    let mut conditions = Vec::new();
    for (operator, clauses) in value["Condition"].as_object().into_iter().flatten() {
        let (quantifier, test) = understood(operator)?;
        for (key, wanted) in clauses.as_object().ok_or("a condition without keys")? {
            let (key, wanted) = (key.to_lowercase(), texts(wanted)?);
            if test == Test::Null && !matches!(wanted.as_slice(), [one] if one == "true" || one == "false") {
                return Err(format!("Null of {wanted:?}"));
            }
            conditions.push(Condition { quantifier, test, key, wanted });
        }
    }
    let sid = value["Sid"].as_str().unwrap_or_default().to_owned();
    Ok(Statement { sid, deny, actions, resources, conditions })
}

fn understood(operator: &str) -> Result<(Option<Quantifier>, Test), String> {
    let (quantifier, name) = match operator.split_once(':') {
        Some(("ForAllValues", name)) => (Some(Quantifier::All), name),
        Some(("ForAnyValue", name)) => (Some(Quantifier::Any), name),
        Some(_) => return Err(format!("the evaluator does not know the condition operator {operator}")),
        None => (None, operator),
    };
    let text = |like, fold, negated| Test::Text { like, fold, negated };
    let test = match name {
        "Null" if quantifier.is_none() => Test::Null,
        "StringEquals" => text(false, false, false),
        "StringNotEquals" => text(false, false, true),
        "StringEqualsIgnoreCase" => text(false, true, false),
        "StringNotEqualsIgnoreCase" => text(false, true, true),
        "StringLike" => text(true, false, false),
        "StringNotLike" => text(true, false, true),
        _ => return Err(format!("the evaluator does not know the condition operator {operator}")),
    };
    Ok((quantifier, test))
}

impl Statement {
    fn matches(&self, asked: &Asked) -> Result<bool, String> {
        let action = asked.action.to_lowercase();
        if !self.actions.iter().any(|a| like(&a.to_lowercase(), &action))
            || !self.resources.iter().any(|r| arn_like(r, &asked.resource))
        {
            return Ok(false);
        }
        for condition in &self.conditions {
            if !condition.holds(asked)? {
                return Ok(false);
            }
        }
        Ok(true)
    }
}

impl Condition {
    fn holds(&self, asked: &Asked) -> Result<bool, String> {
        let have = asked.keys.get(&self.key).filter(|values| !values.is_empty());
        let Test::Text { like: pattern, fold, negated } = self.test else {
            return Ok(have.is_none() == self.wanted.iter().any(|w| w == "true"));
        };
        let one = |value: &String| {
            let same = |wanted: &String| match (pattern, fold) {
                (true, _) => like(wanted, value),
                (false, true) => wanted.eq_ignore_ascii_case(value),
                (false, false) => wanted == value,
            };
            self.wanted.iter().any(same) != negated
        };
        match (self.quantifier, have.map(Vec::as_slice)) {
            // Vacuously true without the key: hence the Null guard.
            (Some(Quantifier::All), have) => Ok(have.unwrap_or_default().iter().all(one)),
            (Some(Quantifier::Any), have) => Ok(have.unwrap_or_default().iter().any(one)),
            (None, None) => Ok(negated),
            (None, Some([value])) => Ok(one(value)),
            (None, Some(_)) => Err(format!("{} has several values: it needs ForAllValues or ForAnyValue", self.key)),
        }
    }
}

/// `*` is any run of characters, `?` any one.
fn like(pattern: &str, value: &str) -> bool {
    let (pattern, value): (Vec<char>, Vec<char>) = (pattern.chars().collect(), value.chars().collect());
    // One row of the table: does the pattern so far match the first k characters?
    let mut row: Vec<bool> = (0..=value.len()).map(|k| k == 0).collect();
    for p in pattern {
        let mut next = vec![p == '*' && row[0]];
        for (k, v) in value.iter().enumerate() {
            next.push(match p {
                '*' => row[k + 1] || next[k],
                '?' => row[k],
                p => row[k] && p == *v,
            });
        }
        row = next;
    }
    row[value.len()]
}

/// A wildcard of an ARN never reaches over one of its first five colons.
fn arn_like(pattern: &str, value: &str) -> bool {
    let (parts, values): (Vec<&str>, Vec<&str>) = (pattern.splitn(6, ':').collect(), value.splitn(6, ':').collect());
    pattern == "*" || (parts.len() == values.len() && parts.iter().zip(values).all(|(p, v)| like(p, v)))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn asked(names: &[&str]) -> Asked {
        let keys = [("r:names", names)].into_iter().filter(|(_, v)| !v.is_empty());
        Asked {
            action: "route53:ChangeResourceRecordSets".into(),
            resource: "arn:aws:route53:::hostedzone/Z1".into(),
            keys: keys.map(|(k, v)| (k.to_owned(), v.iter().map(|s| (*s).to_owned()).collect())).collect(),
        }
    }

    fn policy(statements: Value) -> Result<Policy, String> {
        Policy::parse(&json!({"Version": "2012-10-17", "Statement": statements}).to_string())
    }

    fn allow(condition: &Value) -> Value {
        json!({"Sid": "A", "Effect": "Allow", "Action": "route53:*", "Resource": "*", "Condition": condition})
    }

    #[test]
    fn a_condition_holds_as_iam_documents_it() {
        let (n, some, all) = ("r:Names", &["a", "x"][..], &["a", "b"][..]);
        let table: Vec<(&str, Value, &[&str], bool)> = vec![
            ("StringEquals", json!({n: "a"}), &["a"], true),
            ("StringEquals", json!({n: ["b", "a"]}), &["a"], true),
            ("StringEquals", json!({n: "a"}), &["A"], false),
            ("StringEquals", json!({n: "a"}), &[], false),
            ("StringEqualsIgnoreCase", json!({n: "a"}), &["A"], true),
            ("StringNotEquals", json!({n: "a"}), &["b"], true),
            ("StringNotEquals", json!({n: ["a", "b"]}), &["b"], false),
            ("StringNotEquals", json!({n: "a"}), &[], true),
            ("StringLike", json!({n: "a*c?"}), &["abbcd"], true),
            ("StringLike", json!({n: "a*c?"}), &["abbc"], false),
            ("StringLike", json!({n: "*.example.com"}), &["\\052.example.com"], true),
            ("StringNotLike", json!({n: "a*"}), &["ab"], false),
            ("ForAllValues:StringEquals", json!({n: ["a", "b"]}), all, true),
            ("ForAllValues:StringEquals", json!({n: ["a", "b"]}), some, false),
            ("ForAllValues:StringEquals", json!({n: ["a"]}), &[], true),
            ("ForAllValues:StringNotEquals", json!({n: ["c"]}), all, true),
            ("ForAllValues:StringNotEquals", json!({n: ["b"]}), all, false),
            ("ForAnyValue:StringEquals", json!({n: "x"}), some, true),
            ("ForAnyValue:StringEquals", json!({n: "x"}), all, false),
            ("ForAnyValue:StringEquals", json!({n: "x"}), &[], false),
            ("ForAnyValue:StringNotEquals", json!({n: "a"}), some, true),
            ("ForAnyValue:StringNotEquals", json!({n: "a"}), &["a"], false),
            ("ForAnyValue:StringNotEquals", json!({n: "a"}), &[], false),
            ("ForAnyValue:StringLike", json!({n: "?"}), all, true),
            ("Null", json!({n: "false"}), &["a"], true),
            ("Null", json!({n: "false"}), &[], false),
            ("Null", json!({n: "true"}), &[], true),
            ("Null", json!({n: "true"}), &["a"], false),
        ];
        for (operator, clause, names, holds) in table {
            let made = policy(json!(allow(&json!({operator: clause})))).unwrap();
            assert_eq!(made.decide(&asked(names)).unwrap().allowed, holds, "{operator} {clause} of {names:?}");
        }
    }

    #[test]
    fn what_it_does_not_understand_it_does_not_decide() {
        for (statement, named) in [
            (allow(&json!({"NumericLessThan": {"r:n": "1"}})), "NumericLessThan"),
            (allow(&json!({"StringEqualsIfExists": {"r:n": "1"}})), "StringEqualsIfExists"),
            (allow(&json!({"ForSomeValues:StringEquals": {"r:n": "1"}})), "ForSomeValues"),
            (allow(&json!({"ForAnyValue:Null": {"r:n": "true"}})), "ForAnyValue:Null"),
            (allow(&json!({"Null": {"r:n": "maybe"}})), "maybe"),
            (json!({"Effect": "Allow", "NotAction": "x", "Resource": "*"}), "NotAction"),
            (json!({"Effect": "Allow", "Action": "x", "NotResource": "*"}), "NotResource"),
            (json!({"Effect": "Maybe", "Action": "x", "Resource": "*"}), "Maybe"),
            (json!({"Effect": "Allow", "Action": [], "Resource": "*"}), "without Action"),
        ] {
            let said = policy(json!([statement])).unwrap_err();
            assert!(said.contains(named), "{said}");
        }
        let several = policy(json!([allow(&json!({"StringEquals": {"r:names": "a"}}))])).unwrap();
        assert!(several.decide(&asked(&["a", "b"])).unwrap_err().contains("several values"));
    }

    #[test]
    fn a_deny_wins_and_nothing_is_allowed_by_default() {
        let grant = json!({"Sid": "A", "Effect": "Allow", "Action": ["ROUTE53:Change*"], "Resource": "arn:aws:route53:::hostedzone/Z?"});
        let deny = json!({"Sid": "D", "Effect": "Deny", "Action": "route53:*", "Resource": "*", "Condition": {"ForAnyValue:StringEquals": {"r:names": "bad"}}});
        let verdict = |statements: Value, asked: &Asked| {
            let verdict = policy(statements).unwrap().decide(asked).unwrap();
            (verdict.allowed, verdict.by.join(","))
        };
        let (good, bad) = (asked(&["good"]), asked(&["good", "bad"]));
        assert_eq!(verdict(json!([]), &good), (false, String::new()));
        assert_eq!(verdict(json!([grant]), &good), (true, "A".into()));
        assert_eq!(verdict(json!([grant, deny]), &good), (true, "A".into()));
        assert_eq!(verdict(json!([grant, deny]), &bad), (false, "D".into()));
        assert_eq!(verdict(json!([deny, grant]), &bad), (false, "D".into()));
        let elsewhere = Asked { resource: "arn:aws:route53:::hostedzone/Z22".into(), ..good.clone() };
        assert_eq!(verdict(json!([grant]), &elsewhere), (false, String::new()));
        let other = Asked { action: "route53:GetChange".into(), ..good };
        assert_eq!(verdict(json!([grant]), &other), (false, String::new()));
        assert!(arn_like("arn:aws:route53:::change/*", "arn:aws:route53:::change/C1"));
        assert!(!arn_like("arn:aws:*", "arn:aws:route53:::change/C1"), "a star stays within its part");
        assert!(arn_like("*", "*") && !arn_like("arn:aws:route53:::change/*", "*"));
    }
}
