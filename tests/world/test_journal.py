from mockserver.world.journal import Journal


def test_entries_are_numbered_and_read_from_a_cursor() -> None:
    journal = Journal()
    for name in ("submit", "task.queued", "task.running"):
        journal.add(10.0, "hosted", name, "t-1")

    extract = journal.since(1)

    assert [(entry.number, entry.name) for entry in extract.entries] == [(2, "task.queued"), (3, "task.running")]
    assert extract.lost == 0


def test_a_line_of_the_journal_is_stable_bytes() -> None:
    journal = Journal()
    journal.add(10.25, "hosted", "task.failed", "t-1", {"b": 1, "a": "图"}, "node-failed")

    assert journal.ndjson().decode() == (
        '{"at":10.25,"cause":"node-failed","facts":{"a":"图","b":1},"n":1,"name":"task.failed",'
        '"provider":"hosted","task":"t-1"}\n'
    )


def test_the_oldest_entries_go_when_it_is_full_and_a_reader_is_told() -> None:
    journal = Journal(max_bytes=1600)
    for _ in range(100):
        journal.add(10.0, "hosted", "submit", "t-1")

    extract = journal.since(0)

    assert len(journal) == len(extract.entries) == 10
    assert extract.lost == 90
    assert extract.entries[-1].number == journal.last == 100
    assert journal.since(95).lost == 0


def test_large_facts_count_for_more() -> None:
    journal = Journal(max_bytes=10_000)

    for _ in range(20):
        journal.add(10.0, "hosted", "upload", None, {"file.key": "x" * 2000})

    assert len(journal) == 4


def test_a_part_of_the_journal_can_be_asked_for() -> None:
    journal = Journal()
    for number in range(10):
        journal.add(float(number), "hosted", "submit")

    assert [entry.number for entry in journal.since(3, limit=2).entries] == [4, 5]
