"""Faults of plugins: for each, the command line prints one sentence with the remedy."""

from __future__ import annotations

from pathlib import Path

import orjson
import pytest

from tests.distributions.third_party import Terminal


@pytest.fixture
def terminal(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> Terminal:
    return Terminal(monkeypatch, capsys, tmp_path)


FAULTS = {
    "isue_panel": "plugin 'isue_panel' is not installed; did you mean 'issue_panel'",
    "key_first key_second": (
        "plugins 'key_first' and 'key_second' both declare the module key 'greeting'; rename one of them"
    ),
    "single_first single_second": (
        "plugins 'single_first' and 'single_second' both declare the single module 'configurePage'; enable "
        "only one of these plugins"
    ),
    "stranger_notes raw_alien": (
        "plugin 'raw_alien' routes '/stranger_notes/x', a path of the plugin 'stranger_notes'; put it "
        "under '/raw_alien/'"
    ),
    "stranger_notes stranger_clash": (
        "plugin 'stranger_clash' stores 'Item' in 'stranger_notes_item', a table of the plugin "
        "'stranger_notes'; set table = 'stranger_clash_…' in its Meta"
    ),
    "absolute_url": (
        "plugin 'absolute_url': 'adminPages' 'x' has a 'url' that is 'https://example.com/x', not relative to"
        " the base URL; begin it with one '/'"
    ),
    "alien_url": (
        "plugin 'alien_url': 'generalPages' 'x' has a 'url' that is '/stranger_notes/panel', which is not a path"
        " of this plugin; begin it with '/alien_url/'"
    ),
    "answered": "plugin 'answered' implements 'addon_modules', as Plugin itself does; remove it",
    "asked_in_vain": ("plugin 'asked_in_vain' raised LookupError: the map in a contribution hook; correct the plugin"),
    "at_import": (
        "plugin 'at_import' (stranger-faults 1.0) cannot be imported: RuntimeError: the moon is in the wrong "
        "place; correct it, install what it needs, or remove it from [addon] plugins"
    ),
    "bad_key": (
        "plugin 'bad_key': 'generalPages' 'my_key' has the key 'my_key', but only letters, digits and '-' are"
        " allowed; rename it"
    ),
    "bad_scope": "plugin 'bad_scope' has the scope 'REED', which the host does not know; use 'READ'",
    "field_missing": "plugin 'field_missing': 'generalPages' 'x' lacks 'name', which the host requires; add it",
    "foreign_module": (
        "plugin 'foreign_module' returns a module with plugin='stranger_notes'; write plugin='foreign_module'"
    ),
    "lost_link": "plugin 'lost_link' links to 'editor', which is not a page; decorate it with @plugin.page",
    "marked_late": (
        "plugin 'marked_late': handler 'x' was marked after it was routed, which has no effect; put the mark "
        "below the route"
    ),
    "misnamed": "plugin 'misnamed' is named 'another' in Plugin(…); use the same name there and as entry point",
    "misspelt": (
        "plugin 'misspelt': handler 'page' has the parameter 'issue_kee', which looks like a host variable but is "
        "not one; did you mean 'issue_key'"
    ),
    "no_migrations": (
        "plugin 'no_migrations' has models but no migrations in its package; create them with "
        "'addonkit makemigrations no_migrations'"
    ),
    "no_scope": (
        "plugin 'no_scope' declares 'jira:issue_created' of type 'webhooks' without the scope 'READ' that the"
        " host demands for it; add 'READ' to the plugin's scopes"
    ),
    "no_static": (
        "plugin 'no_static' names the static file 'gone.svg', which is not in its folder 'static'; add it there"
    ),
    "not_a_module": "plugin 'not_a_module' returns dict as a module, expected addonkit.Module; wrap it",
    "open_context": (
        "plugin 'open_context': handler 'x' is public, but 'issue_id' exists on authenticated requests only; "
        "remove @public or the parameter"
    ),
    "raw_alien": "plugin 'raw_alien' routes '/stranger_notes/x'; put it under '/raw_alien/'",
    "raw_before_app": (
        "plugin 'raw_before_app' uses 'before_app_request', which plugins must not use; use what affects"
        " its own routes only, such as 'before_request'"
    ),
    "raw_named": (
        "plugin 'raw_named' has a blueprint named 'stranger_notes', which would claim that name's templates and"
        " routes; name it 'raw_named'"
    ),
    "raw_outside": "plugin 'raw_outside' routes '/elsewhere/x'; put it under '/raw_outside/'",
    "raw_record": (
        "plugin 'raw_record' uses 'record', which plugins must not use; use what affects its own routes "
        "only, such as 'before_request'"
    ),
    "raw_static": ("plugin 'raw_static' uses 'static_folder', which plugins must not use; use plugin.static"),
    "raw_undeclared": (
        "plugin 'raw_undeclared' routes '/raw_undeclared/x' without a demand; decorate it with @own_page, "
        "@exact or @public"
    ),
    "raw_websocket": (
        "plugin 'raw_websocket' uses 'websocket', which plugins must not use; the runtime closes WebSockets"
    ),
    "serve": "plugin 'serve' cannot be used: the name is a path or command of the runtime; rename its entry point",
    "star": (
        "plugin 'star': handler 'x' takes '**rest: str', but arguments are passed by name; write each parameter out"
    ),
    "sync_event": "plugin 'sync_event' implements 'addon_installed', which is async; write it with 'async def'",
    "unfilled": (
        "plugin 'unfilled': page 'page' has the parameter 'colour', which the host does not fill; map it with "
        "variables={'colour': …} or give it a default"
    ),
    "unknown_bare": (
        "plugin 'unknown_bare' implements 'addon_instaled', which is not a hook; did you mean 'addon_installed'"
    ),
    "unknown_hook": (
        "plugin 'unknown_hook' implements 'addon_instaled', which is not a hook; did you mean 'addon_installed'"
    ),
    "wants_jwt": (
        "plugin 'wants_jwt': handler 'x' has the parameter 'jwt', which the host adds to its URLs and no handler "
        "gets; rename it"
    ),
    "wrong_api": "plugin 'wrong_api' (stranger-faults 1.0) was written for API 2, this is API 1; upgrade addonkit",
    "wrong_argument": (
        "plugin 'wrong_argument' names the argument 'tenent' in 'addon_installed', which that hook does not "
        "have; it has "
        "tenant, first"
    ),
}


@pytest.mark.parametrize("plugins", FAULTS)
def test_plugin_fault_is_one_sentence_with_a_remedy(terminal: Terminal, plugins: str) -> None:
    terminal.write(*plugins.split())
    assert terminal("descriptor").sentence == FAULTS[plugins]


def test_module_type_that_is_unknown_is_an_error_if_strict(terminal: Terminal) -> None:
    terminal.write("unknown_type", strict=True)
    assert terminal("descriptor").sentence == (
        "plugin 'unknown_type': 'jiraIssueContent' 'x' is not a module type of the host; did you mean "
        "'jiraIssueContents' or 'jiraIssueContexts' or 'jiraIssueTypes'"
    )


def test_module_type_that_is_unknown_is_passed_on_with_a_warning(
    terminal: Terminal, caplog: pytest.LogCaptureFixture
) -> None:
    terminal.write("unknown_type")
    assert orjson.loads(terminal("descriptor").out)["modules"]["jiraIssueContent"] == [
        {"key": "x", "name": {"value": "X"}, "url": "/unknown_type/x"}
    ]
    assert "'jiraIssueContent' 'x' is not a module type of the host; did you mean" in caplog.text


def test_plugin_without_a_near_match_is_reported_with_the_installed_ones(terminal: Terminal) -> None:
    terminal.write("entirely_other")
    sentence = terminal("descriptor").sentence
    assert sentence.startswith("plugin 'entirely_other' is not installed; install the package that contains it")
    assert "'stranger_notes'" in sentence


def test_licensed_route_without_an_admitting_plugin_stops_the_start(terminal: Terminal) -> None:
    terminal.write("licensed_alone", licensing=True)
    assert "no plugin implements 'addon_admit'; enable one" in terminal("descriptor").sentence


def test_licensed_route_is_accepted_where_no_licences_are_sold(terminal: Terminal) -> None:
    terminal.write("licensed_alone")
    assert terminal("descriptor").code == 0


def test_commands_with_one_name_are_refused(terminal: Terminal) -> None:
    terminal.write("twice")
    assert terminal("twice").sentence == "plugin 'twice' has two commands named 'a'; rename one of them"


def test_plugin_that_fails_in_its_commands_hook_is_named(terminal: Terminal) -> None:
    terminal.write("broken_commands")
    assert terminal("broken_commands").sentence == (
        "addon_commands of plugin 'broken_commands' failed: LookupError: no commands today; fix the plugin"
    )


def test_plugin_that_fails_is_skipped_where_the_deployment_allows_it(terminal: Terminal) -> None:
    terminal.write("stranger_notes", "at_import", on_plugin_error="skip")
    rows = {row["plugin"]: row for row in orjson.loads(terminal("plugins", "--json").out)}
    assert rows["stranger_notes"]["state"] == "on"
    assert rows["at_import"]["state"] == "skipped"
    assert "cannot be imported: RuntimeError" in rows["at_import"]["reason"]


def test_conflict_skips_the_second_plugin_by_name(terminal: Terminal) -> None:
    terminal.write("key_second", "key_first", on_plugin_error="skip")
    rows = {row["plugin"]: row["state"] for row in orjson.loads(terminal("plugins", "--json").out)}
    assert (rows["key_first"], rows["key_second"]) == ("on", "skipped")


def test_check_warns_of_a_skipped_plugin(terminal: Terminal) -> None:
    terminal.write("stranger_notes", "at_import", on_plugin_error="skip")
    result = terminal("check")
    assert result.code == 0
    assert "warn  plugins        stranger_notes; skipped: plugin 'at_import'" in result.out


def test_required_plugin_is_never_skipped(terminal: Terminal) -> None:
    terminal.write("stranger_notes", "at_import", on_plugin_error="skip", required=["at_import"])
    sentence = terminal("descriptor").sentence
    assert sentence.startswith("plugin 'at_import'")
    assert sentence.endswith("; it is in [addon] required and cannot be skipped")


SETTINGS = {
    'titel = "x"': (
        "[plugin.stranger_notes]: 'titel' is not a setting of the plugin 'stranger_notes'; did you mean 'title'"
    ),
    "limit = [1]": "[plugin.stranger_notes]: 'limit': input should be a valid integer, found [1]",
    "title = 3": "[plugin.stranger_notes]: 'title': input should be a valid string, found 3",
}


@pytest.mark.parametrize("line", SETTINGS)
def test_plugin_setting_that_is_invalid_is_one_sentence(terminal: Terminal, line: str) -> None:
    terminal.write("stranger_notes", more=f"[plugin.stranger_notes]\n{line}\n")
    assert terminal("descriptor").sentence == SETTINGS[line]


def test_secret_of_the_wrong_type_is_not_printed(terminal: Terminal) -> None:
    terminal.write("stranger_notes", more="[plugin.stranger_notes]\napi_token = 1234567\n")
    assert "1234567" not in terminal("descriptor").sentence


def test_plugin_setting_in_the_environment_is_reported_by_its_variable(terminal: Terminal) -> None:
    terminal.write("stranger_notes")
    result = terminal("descriptor", ADDONKIT_PLUGIN__STRANGER_NOTES__LIMIT="many")
    assert result.sentence.startswith(
        "ADDONKIT_PLUGIN__STRANGER_NOTES__LIMIT: 'limit': input should be a valid integer"
    )


def test_plugin_setting_misspelt_in_the_environment_is_reported_by_its_variable(terminal: Terminal) -> None:
    terminal.write("stranger_notes")
    result = terminal("descriptor", ADDONKIT_PLUGIN__STRANGER_NOTES__LIMITS="3")
    assert result.sentence == (
        "ADDONKIT_PLUGIN__STRANGER_NOTES__LIMITS: 'limits' is not a setting of the plugin 'stranger_notes'; "
        "did you mean 'limit'"
    )


def test_plugin_table_without_settings_is_refused(terminal: Terminal) -> None:
    terminal.write("stranger_marker", more="[plugin.stranger_marker]\nx = 1\n")
    assert terminal("descriptor").sentence == (
        "[plugin.stranger_marker] sets 'x', but the plugin 'stranger_marker' has no settings; remove the table"
    )


def test_plugin_table_of_a_disabled_plugin_is_ignored(terminal: Terminal) -> None:
    terminal.write("stranger_marker", more="[plugin.stranger_notes]\nnonsense = 1\n")
    assert terminal("descriptor").code == 0
