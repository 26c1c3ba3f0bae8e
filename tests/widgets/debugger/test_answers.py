"""Every message is answered by a view with its number: a front end that waits for one takes the kernel for dead."""

from labkit.widgets.debugger.session import Session


def test_a_message_that_is_refused_is_answered_too(timeline):
    session = Session(timeline)
    session.do({"do": "go", "seq": 7, "text": "5" * 5000})
    assert "not a command" in session.view().message
    assert session.seq == 7
    session.do({"do": "look", "seq": 3})  # of another front end, whose count is behind
    session.do({"do": "look", "seq": 1 << 80})
    assert session.seq == 1 << 53


def test_an_interrupted_command_is_answered_too(timeline, monkeypatch):
    session = Session(timeline)

    def interrupted(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(timeline, "step", interrupted)
    session.do({"do": "step", "seq": 2})
    assert (session.view().message, session.seq) == ("interrupted", 2)


def test_who_wrote_is_not_said_of_another_place(timeline):
    session = Session(timeline)
    timeline.seek(timeline.end // 2)
    session.do({"do": "register_writer", "name": "esp"})
    assert session.state.answer is not None
    timeline.seek(timeline.end // 3)
    session.follow()
    assert session.state.answer is session.state.asked is None
