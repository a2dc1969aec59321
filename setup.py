"""The package as settings.ini describes it: one place for its name, version and requirements."""

from configparser import ConfigParser
from pathlib import Path

from setuptools import find_packages, setup

here = Path(__file__).parent
config = ConfigParser(delimiters=["="])
config.read(here / "settings.ini", encoding="utf-8")
settings = config["DEFAULT"]
extras = {
    name: settings[f"{name}_requirements"].split()
    for name in ("serve", "train", "cluster", "docs", "dev")
}
extras["dev"] = (
    extras["serve"] + extras["train"] + extras["cluster"] + extras["docs"] + extras["dev"]
)

setup(
    name=settings["lib_name"],
    version=settings["version"],
    description=settings["description"],
    long_description=(here / "README.md").read_text("utf-8"),
    long_description_content_type="text/markdown",
    keywords=settings["keywords"],
    url=settings["git_url"],
    author=settings["author"],
    author_email=settings["author_email"],
    license="Apache-2.0",
    classifiers=[
        "Development Status :: 3 - Alpha",
        "Programming Language :: Python :: 3",
        "Natural Language :: English",
    ],
    packages=find_packages(include=["credit_risk", "credit_risk.*", "api"]),
    python_requires=f">={settings['min_python']}",
    install_requires=settings["requirements"].split(),
    extras_require=extras,
    entry_points={"console_scripts": settings["console_scripts"].split()},
    zip_safe=False,
)
