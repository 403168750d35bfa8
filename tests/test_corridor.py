def test_smoke(tiny, images, train, tmp_path):
    done = train(images, tmp_path / "run")
    print(done)


def test_smoke2(finished, images):
    print((finished / "summary.json").read_text())
