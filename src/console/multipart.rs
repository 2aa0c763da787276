//! Forms with files (RFC 7578), as browsers send them: each part a field with its text.

/// The most parts of a form.
const MOST_PARTS: usize = 20;

/// Names and contents of the parts; none if the body is no such form, or a part is no UTF-8.
pub(super) fn decode(content_type: &str, body: &[u8]) -> Option<Vec<(String, String)>> {
    let boundary = boundary(content_type)?;
    let marker = format!("\r\n--{boundary}").into_bytes();
    let mut rest = body.strip_prefix(marker.get(2..)?)?;
    let mut fields = Vec::new();
    loop {
        if rest.starts_with(b"--") {
            return Some(fields);
        }
        let part = rest.strip_prefix(b"\r\n")?;
        let head_end = find(part, b"\r\n\r\n")?;
        let (head, content) = (part.get(..head_end)?, part.get(head_end.checked_add(4)?..)?);
        let end = find(content, &marker)?;
        let text = std::str::from_utf8(content.get(..end)?).ok()?;
        fields.push((name(std::str::from_utf8(head).ok()?)?.to_owned(), text.to_owned()));
        if fields.len() > MOST_PARTS {
            return None;
        }
        rest = content.get(end.checked_add(marker.len())?..)?;
    }
}

/// What parts end with, of 1 to 70 characters (RFC 2046 §5.1.1); none if the type is not that of such a form.
fn boundary(content_type: &str) -> Option<&str> {
    let (essence, parameters) = content_type.split_once(';')?;
    let is_form = essence.trim().eq_ignore_ascii_case("multipart/form-data");
    let (_, boundary) = parameters.split_once("boundary=").filter(|_| is_form)?;
    let boundary = boundary.split(';').next()?.trim().trim_matches('"');
    (1..=70).contains(&boundary.len()).then_some(boundary)
}

/// The field's name, from the part's head.
fn name(head: &str) -> Option<&str> {
    let mut lines = head.split("\r\n").filter_map(|line| line.split_once(':'));
    let (_, disposition) = lines.find(|(name, _)| name.trim().eq_ignore_ascii_case("content-disposition"))?;
    let (_, name) = disposition.split_once("; name=\"")?;
    name.split_once('"').map(|(name, _)| name)
}

fn find(text: &[u8], what: &[u8]) -> Option<usize> {
    text.windows(what.len()).position(|window| window == what)
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    const TYPE: &str = "multipart/form-data; boundary=----x1";

    #[test]
    fn parts_come_out_as_they_went_in() {
        let body = "------x1\r\nContent-Disposition: form-data; name=\"from\"\r\n\r\n2026-01-01\r\n------x1\r\n\
                    Content-Disposition: form-data; name=\"file\"; filename=\"a; name=\\\"b\\\".csv\"\r\n\
                    Content-Type: text/csv\r\n\r\namount\r\n\r\n1 --x1\r\n\r\n------x1--\r\n";
        let fields = decode(TYPE, body.as_bytes()).unwrap();
        let expected = [("from", "2026-01-01"), ("file", "amount\r\n\r\n1 --x1\r\n")];
        assert_eq!(fields, expected.map(|(name, text)| (name.to_owned(), text.to_owned())));
    }

    #[rstest]
    #[case("text/csv", "------x1--")]
    #[case("multipart/form-data; boundary=", "----")]
    #[case(TYPE, "")]
    #[case(TYPE, "------x1")]
    #[case(TYPE, "------x1\r\n")]
    #[case(TYPE, "------x1\r\nContent-Disposition: form-data; name=\"a\"\r\n\r\nb")]
    #[case(TYPE, "------x1\r\n\r\n\r\nb\r\n------x1--")]
    #[case(TYPE, "------x1\r\nContent-Disposition: form-data; filename=\"a\"\r\n\r\nb\r\n------x1--")]
    fn what_is_no_such_form_is_none(#[case] content_type: &str, #[case] body: &str) {
        assert_eq!(decode(content_type, body.as_bytes()), None);
    }
}
