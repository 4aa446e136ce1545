use super::*;

#[test]
fn a_message_holds_values_and_other_texts_in_its_language() {
    let (count, kind) = (7, text("a list", "列表"));
    let inner = message!("has {count} items", "有 {count} 项");
    let outer = message!("is {kind} and {inner}", "是{kind}，{inner}", kind = kind, inner = inner);
    assert_eq!(outer.en(), "is a list and has 7 items");
    assert_eq!(outer.in_language(Language::Zh), "是列表，有 7 项");
    assert_eq!(serde_json::to_value(&outer).unwrap(), "is a list and has 7 items");
    let chinese = serialize_in(Language::Zh, || serde_json::to_value(&outer).unwrap());
    assert_eq!(chinese, "是列表，有 7 项");
    assert_eq!(serde_json::to_value(&outer).unwrap(), "is a list and has 7 items");
}

#[test]
fn messages_are_compared_by_their_texts() {
    let fixed = Message::from(text("a", "甲"));
    assert_eq!(fixed, Message::new("a", "甲"));
    assert!(fixed < Message::new("b", "乙") && fixed < Message::new("a", "申"));
    assert_eq!(
        Message::same("403 Forbidden").in_language(Language::Zh),
        "403 Forbidden"
    );
}

/// There may be findings by the hundred thousand.
#[test]
fn a_message_is_small() {
    assert!(size_of::<Message>() <= size_of::<Text>());
}
