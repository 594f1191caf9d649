"""Templates of pages: global names are those of Jinja, whenever they are set."""

import pytest
from addonkit.app.page_templates import PageTemplate
from jinja2 import ChainableUndefined, DictLoader, Environment, pass_context

FILES = {
    "plain.html": "{{ greeting }} {{ name }} {{ local|default('none') }}",
    "base.html": "<{% block body %}{{ greeting }}{% endblock %}>",
    "child.html": "{% extends 'base.html' %}{% block body %}{{ super() }} {{ name }}{% endblock %}",
    "parts.html": "{% macro part(x) %}{{ greeting }} {{ x }}{% endmacro %}",
    "imports.html": "{% from 'parts.html' import part with context %}{{ part(name) }}",
    "imports_without.html": "{% import 'parts.html' as parts %}{{ parts.part(name) }}",
    "includes.html": "{% include 'plain.html' %} {% set greeting = 'bye' %}{% include 'plain.html' %}",
    "shadows.html": "{% set greeting = 'bye' %}{{ greeting }} {{ self._TemplateReference__context.get_all()|length }}",
    "exports.html": "{{ names() }}",
}


@pass_context
def names(context):
    return ",".join(sorted(context.get_exported() | dict.fromkeys(context.parent)))


def environment(template_class):
    made = type("Made", (Environment,), {"template_class": template_class})(
        loader=DictLoader(FILES), undefined=ChainableUndefined, autoescape=True
    )
    made.globals.update(greeting="hello", names=names)
    return made


@pytest.mark.parametrize("own", [{}, {"local": "own"}, {"greeting": "own"}, {"name": "own"}], ids=str)
@pytest.mark.parametrize("file", FILES)
def test_page_is_rendered_as_jinja_renders_it(file, own):
    ours, plain = environment(PageTemplate), environment(Environment.template_class)
    values = {"name": "you"}
    first = [one.get_template(file, globals=own).render(values) for one in (ours, plain)]
    assert first[0] == first[1]
    for one in (ours, plain):
        one.globals.update(greeting="later", local="later")
    second = [one.get_template(file, globals=own).render(values) for one in (ours, plain)]
    assert second[0] == second[1]


@pytest.mark.parametrize("file", ["plain.html", "child.html", "imports.html", "includes.html", "parts.html"])
def test_module_and_stream_of_a_template_have_the_global_names(file):
    ours, plain = (environment(one).get_template(file) for one in (PageTemplate, Environment.template_class))
    assert str(ours.make_module({"name": "you"})) == str(plain.make_module({"name": "you"}))
    assert "".join(ours.generate(name="you")) == "".join(plain.generate(name="you"))
