//! Changes to an answer that is right: other fields, another type, somebody else's.

use serde_json::Value;

use super::answer::{Answer, Content};

/// The same bytes under another `Content-Type`.
pub(super) fn retyped(content: Content, content_type: String) -> Content {
    let text = match content {
        Content::Json(value) => value.to_string(),
        Content::Text { text, .. } => text,
        Content::Empty => String::new(),
    };
    Content::Text { content_type, text }
}

/// Sets and removes fields of a JSON answer; any other answer stays as it is.
pub(super) fn edit(answer: &mut Answer, set: Vec<(Vec<String>, Value)>, remove: &[Vec<String>]) {
    let Content::Json(body) = &mut answer.content else { return };
    for (path, value) in set {
        if let Some(place) = place(body, &path) {
            *place = value;
        }
    }
    for path in remove {
        if let Some((field, parents)) = path.split_last()
            && let Some(parent) = parents.iter().try_fold(&mut *body, |at, name| at.get_mut(name))
            && let Some(fields) = parent.as_object_mut()
        {
            fields.remove(field);
        }
    }
}

/// The value at `path`; objects on the way are made, other values in the way are not replaced.
fn place<'body>(body: &'body mut Value, path: &[String]) -> Option<&'body mut Value> {
    path.iter().try_fold(body, |at, name| {
        if at.is_null() {
            *at = Value::Object(serde_json::Map::new());
        }
        Some(at.as_object_mut()?.entry(name.as_str()).or_insert(Value::Null))
    })
}

/// Names another job wherever the answer names one.
pub(super) fn other_job(answer: &mut Answer, job_id: &str) {
    rename(answer, "job_id", job_id);
}

/// Names another user wherever the answer names one.
pub(super) fn other_user(answer: &mut Answer, user_id: &str) {
    rename(answer, "user_id", user_id);
}

fn rename(answer: &mut Answer, field: &str, value: &str) {
    for (name, header) in &mut answer.headers {
        if *name == field {
            value.clone_into(header);
        }
    }
    if let Content::Json(body) = &mut answer.content {
        for pointer in [format!("/{field}"), format!("/result/PartnerParams/{field}")] {
            if let Some(place) = body.pointer_mut(&pointer) {
                *place = value.into();
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn body(answer: &Answer) -> &Value {
        let Content::Json(body) = &answer.content else { panic!("no JSON") };
        body
    }

    fn path(text: &str) -> Vec<String> {
        text.split('.').map(str::to_owned).collect()
    }

    #[test]
    fn fields_are_set_made_and_removed_by_path() {
        let mut answer = Answer::json(200, json!({ "code": "2302", "result": { "ResultCode": "0820" } }));
        let set = vec![
            (path("result.ResultCode"), json!("9")),
            (path("a.b"), json!(1)),
            (path("code.x"), json!(1)),
        ];
        edit(&mut answer, set, &[path("result.None"), path("code")]);
        assert_eq!(*body(&answer), json!({ "result": { "ResultCode": "9" }, "a": { "b": 1 } }));
    }

    #[test]
    fn somebody_else_is_named_in_both_protocols() {
        let mut v3 = Answer::json(200, json!({ "job_id": "j", "user_id": "u" })).with("user_id", "u");
        other_user(&mut v3, "x");
        assert_eq!(*body(&v3), json!({ "job_id": "j", "user_id": "x" }));
        assert_eq!(v3.headers, [("user_id", "x".to_owned())]);
        let mut v1 = Answer::json(200, json!({ "result": { "PartnerParams": { "job_id": "j" } } }));
        other_job(&mut v1, "y");
        assert_eq!(*body(&v1), json!({ "result": { "PartnerParams": { "job_id": "y" } } }));
    }
}
