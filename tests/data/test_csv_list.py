from __future__ import annotations

import csv
import io
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge_fgir import InputError
from edge_fgir.data.csv_list import Row, read_class_names, read_list

pytestmark = pytest.mark.unit


def written(folder: Path, content: str | bytes) -> Path:
    path = folder / "train.csv"
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return path


def refusal(path: Path, reader=lambda path: read_list(path, "dir")) -> str:
    with pytest.raises(InputError) as caught:
        reader(path)
    text = str(caught.value)
    assert len(text.splitlines()) == 1
    assert caught.value.exit_code == 2
    return text


ROWS = [Row(1, 0, "0291/1796291.jpg"), Row(2, 12, "0007/7.jpg")]
PLAIN = "0,0291/1796291.jpg\n12,0007/7.jpg\n"


@pytest.mark.parametrize(
    "content",
    [
        PLAIN,
        PLAIN.replace("\n", "\r\n"),
        PLAIN.rstrip("\n"),
        "\ufeff" + PLAIN,
        ' 0 , 0291/1796291.jpg\n"12","0007/7.jpg"\n',
    ],
    ids=["plain", "crlf", "no last newline", "byte order mark", "spaces and quotes"],
)
def test_a_list_without_a_header(tmp_path: Path, content) -> None:
    assert read_list(written(tmp_path, content), "dir") == ROWS


@pytest.mark.parametrize(
    "content",
    [
        f"class_id,dir\n{PLAIN}",
        f"\ufeffclass_id,dir\r\n{PLAIN}",
        f"Class_ID, Dir\n{PLAIN}",
        "dir,class_id,width\n0291/1796291.jpg,0,90\n0007/7.jpg,12,80\n",
    ],
    ids=["plain", "byte order mark", "capitals", "another order and more columns"],
)
def test_a_list_with_a_header(tmp_path: Path, content) -> None:
    found = read_list(written(tmp_path, content), "dir")
    assert found == [row._replace(line=row.line + 1) for row in ROWS]


def test_empty_lines_are_passed_over_and_lines_counted(tmp_path: Path) -> None:
    path = written(tmp_path, "\n0,a.jpg\n\n,\n1,b.jpg\n\n")
    assert read_list(path, "dir") == [Row(2, 0, "a.jpg"), Row(5, 1, "b.jpg")]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("", "is empty; expected rows of class_id,dir"),
        ("class_id,dir\n", "has a header and no rows"),
        ("0;a.jpg\n1;b.jpg\n", "line 1 of {} is separated by semicolons; expected commas"),
        ("class_id;dir\n0;a.jpg\n", "line 1 of {} is separated by semicolons"),
        ("0\ta.jpg\n", "line 1 of {} is separated by tabs"),
        ("class_id,dir\n0|a.jpg\n", "line 2 of {} is separated by bars"),
        ("0,a.jpg\n1\n", "line 2 of {} has 1 fields; expected 2"),
        ("0,a,b.jpg\n", "line 1 of {} has 3 fields; expected 2; put a text that holds commas"),
        ("0,a.jpg\none,b.jpg\n", "line 2 of {} has the class id 'one'; expected a whole number"),
        ("0,a.jpg\n-1,b.jpg\n", "has the class id '-1'"),
        ("0,a.jpg\n1.0,b.jpg\n", "has the class id '1.0'"),
        ("0,a.jpg\n1,\n", "line 2 of {} has no dir"),
        ("label,path\n0,a.jpg\n", "line 1 of {} is 'label,path'; expected a class id, or a header"),
        ("class_id,class_id,dir\n0,0,a\n", "line 1 of {} is 'class_id,class_id,dir'"),
        ('0,"a.jpg\n', "is no CSV"),
        (b"0,\xff\xfe.jpg\n", "is not UTF-8"),
        ("0,a.jpg\n".encode("utf-16"), "is UTF-16 text; expected UTF-8; save it as UTF-8"),
    ],
)
def test_what_would_drop_or_shift_a_row_is_refused(tmp_path: Path, content, message) -> None:
    path = written(tmp_path, content)
    assert message.format(path) in refusal(path)


def test_a_missing_list(tmp_path: Path) -> None:
    assert "no.csv does not exist" in refusal(tmp_path / "no.csv")


FIELD = st.text(
    st.characters(exclude_categories=["Cs"], exclude_characters="\r\n\0"), min_size=1, max_size=20
).filter(lambda text: text == text.strip() and text.strip())


@given(
    rows=st.lists(st.tuples(st.integers(0, 10**9 - 1), FIELD), min_size=1, max_size=20),
    header=st.booleans(),
    mark=st.booleans(),
    newline=st.sampled_from(["\n", "\r\n"]),
)
def test_every_list_reads_back(
    tmp_path_factory: pytest.TempPathFactory, rows, header, mark, newline
) -> None:
    text = io.StringIO(newline="")
    writer = csv.writer(text, lineterminator=newline)
    if header:
        writer.writerow(["class_id", "dir"])
    writer.writerows(rows)
    path = written(tmp_path_factory.mktemp("lists"), "\ufeff" * mark + text.getvalue())
    assert [(row.class_id, row.text) for row in read_list(path, "dir")] == rows


@given(st.binary(max_size=200) | st.text('0129,;"\n\t\r\ufeffaclsid_r./', max_size=80))
def test_whatever_a_file_holds_it_is_read_or_refused_in_one_line(
    tmp_path_factory: pytest.TempPathFactory, content
) -> None:
    path = written(tmp_path_factory.mktemp("lists"), content)
    for reader in (lambda path: read_list(path, "dir"), read_class_names):
        refused = ""
        try:
            assert reader(path)
        except InputError as error:
            refused = str(error)
        assert len(refused.splitlines()) <= 1


def test_class_names_in_any_order(tmp_path: Path) -> None:
    path = written(tmp_path, 'class_id,class_name\n1,"rin_(v,b)"\n0,初音ミク\n')
    assert read_class_names(path) == ("初音ミク", "rin_(v,b)")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("0,a\n0,b\n", "names class 0 on lines 1 and 2; expected each class id once"),
        ("0,a\n2,b\n", "has no class 1 but a class 2 (line 2); expected class ids 0, 1, 2 and so"),
        ("1,a\n2,b\n", "has no class 0 but a class 1 (line 1)"),
        ("0,a\n1,a\n", "calls classes 0 and 1 'a'; expected a name of its own"),
        ('0,"a\nb"\n1,c\n', r"names a class 'a\nb'; expected one line of text"),
        ("0,a\u2028b\n1,c\n", "names a class"),
    ],
)
def test_class_names_with_gaps_and_doubles(tmp_path: Path, content, message) -> None:
    assert message in refusal(written(tmp_path, content), read_class_names)
