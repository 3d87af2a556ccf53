//! What a list of jobs is asked for by, read as ComfyUI reads it, and refused in its words.

use super::shown;
use crate::job::Standing;
use crate::limits;
use crate::queue::{Filter, Sort, Window};

/// In their order; of a name that comes twice the first counts.
pub(super) type Parameters = Vec<(String, String)>;

pub(super) struct Asked {
    pub filter: Filter,
    pub window: Window,
    /// As it was asked for.
    pub limit: Option<u64>,
}

pub(super) fn read(parameters: &Parameters) -> Result<Asked, String> {
    let text = |name| parameters.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str());
    let standings = standings(text("status").unwrap_or_default())?;
    let sort = match lowered(text("sort_by"), "created_at").as_str() {
        "created_at" => Sort::Submitted,
        "execution_duration" => Sort::Duration,
        _ => return Err("sort_by must be 'created_at' or 'execution_duration'".to_owned()),
    };
    let ascending = match lowered(text("sort_order"), "desc").as_str() {
        "asc" => true,
        "desc" => false,
        _ => return Err("sort_order must be 'asc' or 'desc'".to_owned()),
    };
    let limit = text("limit").map(limit).transpose()?;
    let offset = text("offset").map(|text| whole(text).ok_or("offset must be an integer")).transpose()?;
    let workflow_id = text("workflow_id").filter(|id| !id.is_empty()).map(str::to_owned);
    Ok(Asked {
        filter: Filter { standings: Some(standings), workflow_id, ..Filter::default() },
        window: Window {
            sort,
            ascending,
            before: None,
            limit: limit.unwrap_or(limits::HISTORY_PAGE).min(limits::HISTORY_PAGE),
            offset: offset.and_then(|offset| u64::try_from(offset).ok()).unwrap_or(0),
        },
        limit,
    })
}

/// Those of the list, else all.
fn standings(list: &str) -> Result<Vec<Standing>, String> {
    let asked: Vec<String> =
        list.split(',').map(|name| name.trim().to_lowercase()).filter(|name| !name.is_empty()).collect();
    let known = |name: &String| shown::STATUSES.iter().find(|(known, _)| known == name);
    let unknown: Vec<&str> = asked.iter().filter(|name| known(name).is_none()).map(String::as_str).collect();
    if !unknown.is_empty() {
        let valid = shown::STATUSES.map(|(name, _)| name).join(", ");
        return Err(format!("Invalid status value(s): {}. Valid values: {valid}", unknown.join(", ")));
    }
    if list.is_empty() {
        return Ok(shown::STATUSES.map(|(_, standing)| standing).to_vec());
    }
    Ok(asked.iter().filter_map(known).map(|(_, standing)| *standing).collect())
}

fn lowered(text: Option<&str>, default: &str) -> String {
    text.unwrap_or(default).to_lowercase()
}

fn limit(text: &str) -> Result<u64, String> {
    let limit = whole(text).ok_or("limit must be an integer")?;
    let positive = u64::try_from(limit).ok().filter(|limit| *limit > 0);
    positive.ok_or_else(|| "limit must be a positive integer".to_owned())
}

/// As Python reads a number: blanks around it are none of its business.
fn whole(text: &str) -> Option<i64> {
    text.trim().parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::job::Outcome;

    fn asked(query: &[(&str, &str)]) -> Result<Asked, String> {
        read(&query.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect())
    }

    #[test]
    fn what_comfyui_refuses_is_refused_in_its_words() {
        for (name, value, told) in [
            (
                "status",
                "done, pending,x",
                "Invalid status value(s): done, x. Valid values: pending, in_progress, completed, failed, cancelled",
            ),
            ("sort_by", "", "sort_by must be 'created_at' or 'execution_duration'"),
            ("sort_order", "up", "sort_order must be 'asc' or 'desc'"),
            ("limit", "0", "limit must be a positive integer"),
            ("limit", "-1", "limit must be a positive integer"),
            ("limit", "", "limit must be an integer"),
            ("offset", "1.5", "offset must be an integer"),
        ] {
            assert_eq!(asked(&[(name, value)]).err().as_deref(), Some(told));
        }
    }

    #[test]
    fn what_comfyui_takes_is_taken() {
        let plain = asked(&[]).unwrap();
        assert_eq!((plain.limit, plain.window.limit, plain.window.offset), (None, limits::HISTORY_PAGE, 0));
        assert_eq!(plain.filter.standings.unwrap().len(), 5);
        let odd =
            asked(&[("status", " Completed ,,"), ("sort_order", "ASC"), ("offset", "-3"), ("limit", " 7 ")]);
        let odd = odd.unwrap();
        assert_eq!(odd.filter.standings, Some(vec![Standing::Ended(Outcome::Succeeded)]));
        assert_eq!((odd.window.ascending, odd.window.offset, odd.limit), (true, 0, Some(7)));
        assert_eq!(asked(&[("status", ",")]).unwrap().filter.standings, Some(vec![]), "none of all");
        let twice = asked(&[("limit", "1"), ("limit", "x"), ("workflow_id", "")]).unwrap();
        assert_eq!((twice.limit, twice.filter.workflow_id), (Some(1), None));
    }
}
