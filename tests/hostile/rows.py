"""What 403 hostile inputs once did, X1 to X21, and the tests that hold that none does it any more.

A row names tests by file and function; the cases of this folder whose names start with ``x8_`` are
further ones of X8, and so on. tests/test_hostile_rows.py holds that each row has three or more.
"""

from __future__ import annotations

_BUILD, _CLI = "tests/codesign/build", "tests/codesign/cli"
_FOREIGN = f"{_BUILD}/test_foreign.py"
_FOLDER = "tests/codesign/explore/test_folder.py"
_CACHE, _CACHES = "tests/sim/test_cache.py", "tests/codesign/tools/test_caches.py"
_NAMES = "tests/test_hostile_names.py"

ROWS: dict[str, tuple[str, ...]] = {
    "x1: commands in names of Verilog files, run by Yosys": (
        f"{_FOREIGN}::test_scripts_of_yosys_take_plain_names_alone",
        f"{_FOREIGN}::test_names_in_a_build_folder_run_nothing",
        f"{_FOREIGN}::test_project_files_take_plain_names_alone",
        f"{_NAMES}::test_names_are_refused_or_harmless",
    ),
    "x2: the same, run by the makefiles of Verilator": (
        f"{_FOREIGN}::test_files_get_names_of_ours",
        f"{_FOREIGN}::test_tools_read_hostile_files_and_run_nothing",
        f"{_FOREIGN}::test_names_in_a_build_folder_run_nothing",
        f"{_NAMES}::test_imported_networks_get_names_of_ours",
    ),
    "x3: commands in Verilog": (
        f"{_FOREIGN}::test_verilog_that_is_not_plain_is_refused",
        f"{_FOREIGN}::test_no_verb_compiles_what_is_not_plain",
        f"{_FOREIGN}::test_a_broken_line_is_still_simulated_and_told_before",
    ),
    "x4: pickles": (),
    "x5: writes through links": (),
    "x6: folders of others replaced": (
        f"{_BUILD}/test_ownership.py::test_a_manifest_that_is_none_of_ours_owns_nothing",
        f"{_BUILD}/test_ownership.py::test_a_manifest_from_elsewhere_reaches_no_other_file",
        f"{_FOLDER}::test_a_search_that_replaces_another_removes_only_what_that_one_wrote",
        "tests/models/importing/test_folder.py::"
        "test_a_file_of_others_with_our_format_number_owns_nothing",
        "tests/models/importing/test_folder.py::test_a_listing_from_elsewhere_reaches_no_other_file",
    ),
    "x7: caches that lie": (
        f"{_FOREIGN}::test_comments_that_synthesis_obeys_count_in_the_cache",
        f"{_CACHE}::test_an_entry_that_was_torn_altered_or_renamed_is_none",
        f"{_CACHE}::test_verilog_that_includes_files_is_compiled_every_time",
        f"{_CACHE}::test_flags_of_the_compiler_are_part_of_a_simulators_key",
        f"{_CACHES}::test_a_result_is_kept_and_an_altered_one_is_not_believed",
    ),
    "x8: small files that unfold": (),
    "x9: sizes that headers tell": (
        "tests/models/importing/test_bad_files.py::test_sizes_are_checked_before_memory_is_taken",
    ),
    "x10: pipes, devices, folders": (),
    "x11: values of other types, sizes and depths": (),
    "x12: caches in which others plant programs": (
        f"{_CACHE}::test_a_folder_that_others_can_write_is_refused",
        f"{_CACHE}::test_a_folder_of_another_user_is_refused",
        f"{_CACHE}::test_a_planted_simulator_is_compiled_again_not_run",
        f"{_CACHES}::test_torch_keeps_no_code_where_others_can_plant_it",
        f"{_CACHES}::test_only_sealed_code_is_left_for_its_library",
    ),
    "x13: modules of the current folder": (
        f"{_CLI}/test_foreign_folder.py::test_commands_run_nothing_of_the_current_folder",
        f"{_CLI}/test_foreign_folder.py::test_the_bench_of_another_folder_runs_nothing_either",
        f"{_CLI}/test_foreign_folder.py::test_workers_run_nothing_of_the_current_folder",
    ),
    "x14: search files that name what is mine": (
        f"{_FOLDER}::test_a_search_file_from_elsewhere_replaces_no_search",
    ),
    "x15: paths that leave their folder": (
        f"{_BUILD}/test_build_folder.py::test_reports_are_not_written_through_a_link",
        f"{_FOLDER}::test_folders_that_lead_out_of_the_search_are_refused",
    ),
    "x16: answers lost where nothing can be written": (
        f"{_CLI}/test_answers.py::test_verify_gives_its_verdict_where_no_report_can_be_written",
        f"{_CLI}/test_answers.py::test_synth_gives_its_figures_where_no_report_can_be_written",
        f"{_CLI}/test_answers.py::test_compare_shows_its_table_where_the_page_cannot_be_written",
        f"{_CLI}/imports/test_import.py::test_the_table_is_told_where_no_folder_can_be_written",
    ),
    "x17: private files quoted": (),
    "x18: numbers that make no sense": (),
    "x19: terminal escapes": (f"{_NAMES}::test_paths_of_data_sets_are_quoted",),
    "x20: files that take an hour": (
        f"{_BUILD}/test_bounds.py::test_an_image_larger_than_its_memory_is_refused",
        f"{_BUILD}/test_bounds.py::test_the_limit_stops_a_simulation_that_has_begun",
        f"{_BUILD}/test_bounds.py::test_the_limit_is_one_for_all_tools",
    ),
    "x21: leftovers of killed commands": (
        "tests/models/files/test_temporary.py::test_the_next_one_removes_what_a_kill_leaves",
        f"{_CACHE}::test_what_killed_processes_left_is_removed",
        "tests/models/files/test_writing.py::"
        "test_leftovers_of_dead_processes_go_and_those_of_others_stay",
        "tests/faults/test_faults.py::test_nothing_is_lost_or_left_behind",
    ),
}
"""What happened -> tests of it and of its siblings, besides the cases of that number."""
